# shellcheck shell=bash
# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# To be sourced: the tools of .cache/venv first in PATH, Ansible looking at this tree and keeping its own files in .cache.
KUBESTEAD_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export KUBESTEAD_ROOT
export PATH="$KUBESTEAD_ROOT/.cache/venv/bin:$PATH"
export ANSIBLE_HOME="$KUBESTEAD_ROOT/.cache/ansible"
export ANSIBLE_COLLECTIONS_PATH="$KUBESTEAD_ROOT/.cache/collections"
export ANSIBLE_CONFIG="$KUBESTEAD_ROOT/tests/ansible.cfg"
export HYPOTHESIS_STORAGE_DIRECTORY="$KUBESTEAD_ROOT/.cache/hypothesis"
export MYPYPATH="$KUBESTEAD_ROOT/.cache/collections:$KUBESTEAD_ROOT/tests/lab"
export PIP_CONSTRAINT="$KUBESTEAD_ROOT/requirements.txt"
export PIP_DISABLE_PIP_VERSION_CHECK=1
# Packages are installed uncompiled: each is compiled once, when it is first used, and none of it lands in the tree.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX="$KUBESTEAD_ROOT/.cache/pycache"
# A checkout may belong to another user than the root who tests it.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0="$KUBESTEAD_ROOT"
