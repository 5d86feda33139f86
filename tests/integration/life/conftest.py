# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab that the files of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.conftest import Lab, lab_of_its_own
from integration.site_books import Books


@pytest.fixture(scope="package")
def life_lab() -> Iterator[Lab]:
    """Fresh before the first file, ended after the last one."""
    with lab_of_its_own() as lab:
        yield lab


@pytest.fixture(scope="module")
def books(life_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Books:
    """Playbooks run on it."""
    return Books(life_lab, tmp_path_factory.mktemp("books"))


@pytest.fixture(scope="module")
def deployed(books: Books) -> Books:
    """The same with Ceph: what the file before left, or, if this file runs alone, a new cluster."""
    found = ("get", "cephcluster", "rook-ceph", "-n", "rook-ceph", "--ignore-not-found", "-o", "name")
    missing = not books.lab.kubectl(*found, check=False).stdout.strip()
    for book in ("prepare_disks", "deploy_rook") if missing else ():
        made = books.play(book)
        assert made.status == 0, made.failures()
    return books
