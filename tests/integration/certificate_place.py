# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder and the people of one test of certificates, and what the cluster knows about them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .certificate_operator import Operator
from .certificate_runs import Runner, whole_pairs

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


class Place:
    """Made by ``Place.of``, after which no request of its people is left on the server."""

    def __init__(self, operator: Operator, folder: Path) -> None:
        self.operator, self.folder = operator, folder / "people"
        self.mark = uuid.uuid4().hex[:8]
        self.runner = Runner({"directory": str(self.folder)}, operator.login)

    @classmethod
    @contextmanager
    def of(cls, operator: Operator, folder: Path) -> Iterator[Place]:
        one = cls(operator, folder)
        yield one
        for name in one.requests():
            operator.admin.call("DELETE", f"{REQUESTS}/{name}")

    def people(self, number: int) -> list[str]:
        return [f"p{index}-{self.mark}" for index in range(number)]

    def requests(self) -> list[str]:
        objects = self.operator.admin.list_all(REQUESTS).objects
        return [one["metadata"]["name"] for one in objects if self.mark in one["metadata"]["name"]]

    def ledger(self) -> list[str]:
        return [json.loads(line)["credential_id"] for line in (self.folder / "ledger.jsonl").read_text().splitlines()]

    def assert_all_well(self, people: list[str]) -> None:
        """Every pair whole and valid, every request gone, every issue written down once."""
        assert whole_pairs(self.folder, people)
        assert all((self.folder / f"{name}.crt").exists() for name in people)
        assert self.requests() == []
        assert len(set(self.ledger())) == len(self.ledger()) >= len(people)
        assert len(list(self.folder.glob(".pairs/*/2*"))) == len(people)
