# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# `make demo` and `make test` work as root on a fresh Debian machine; they install what is missing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test unit molecule bench lint fix venv lock clean
MAKEFLAGS += --no-print-directory

WITH_VENV := source tests/env.sh;

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-9s %s\n", $$1, $$2 }'

demo: venv ## start the lab and run the whole platform on it: disks, Rook, 25 people
	@$(WITH_VENV) tests/lab/lab up && tests/lab/demo

test: venv ## static checks, unit, documentation and licence, sanity, and the suites on the lab
	@$(WITH_VENV) tests/run

unit: venv ## the unit tests only (two minutes or less)
	@$(WITH_VENV) pytest tests/unit

molecule: venv ## the scenario of each role, on the lab
	@$(WITH_VENV) tests/lab/lab up && tests/lab/lab exec -- molecule test --all

bench: venv ## onboarding measured against a bare client and the stock modules
	@$(WITH_VENV) tests/lab/lab up && tests/bench/run

lint: venv ## ruff, mypy and the nox sessions (lint, docs, licence, extra checks, build, ansible-lint, sanity)
	@$(WITH_VENV) tests/run lint

fix: venv ## let ruff format and repair what it safely can
	@$(WITH_VENV) ruff check --fix . && ruff format .

venv: ## the private Python environment in .cache/venv
	@tests/bootstrap

lock: ## write requirements.txt anew from requirements.in
	@tests/bootstrap --lock

clean: ## stop the lab and remove everything that was made in .cache
	@if [[ -x .cache/venv/bin/python ]]; then $(WITH_VENV) tests/lab/lab down; fi
	@rm -rf .cache .nox
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
