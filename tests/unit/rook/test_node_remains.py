# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is removed of a data directory, and which volume groups are not the cluster's alone."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._rook.node_remains import data_dir_plan, shared_groups
from hypothesis import given
from hypothesis import strategies as st

DIR = "/var/lib/rook"
OWN = {"namespace": "rook-ceph", "fsid": "aaaa"}


def listed(*names: str, files: tuple[str, ...] = (), links: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """As ansible.builtin.find tells them."""
    rows = [(name, True, False) for name in names] + [(name, False, False) for name in files]
    rows += [(name, False, True) for name in links]
    return [{"path": f"{DIR}/{name}", "isdir": isdir, "islnk": islnk} for name, isdir, islnk in rows]


def test_a_directory_of_one_cluster_goes_whole_and_its_proof_goes_last() -> None:
    found = listed("rook-ceph", "mon-a", "mon-b", "exporter", "rook-ceph.cephfs.csi.ceph.com")
    plan = data_dir_plan(found, DIR, ["log", "crash", "rook-ceph.config"], "[global]\nfsid = aaaa\n", OWN)
    names = ["exporter", "mon-a", "mon-b", "rook-ceph.cephfs.csi.ceph.com", "rook-ceph"]
    assert plan == {"remove": [*(f"{DIR}/{name}" for name in names), DIR], "keep": [], "problem": ""}


def test_an_ended_run_is_continued() -> None:
    plan = data_dir_plan(listed("rook-ceph"), DIR, [], "", OWN)
    assert plan["remove"] == [f"{DIR}/rook-ceph", DIR]


@pytest.mark.parametrize(
    ("entries", "inside", "config", "words"),
    [
        (listed("rook-ceph"), ["log"], "fsid = bbbb\n", "is of the Ceph cluster bbbb, not of aaaa"),
        (listed("rook-ceph"), ["photos"], "", "does not look like Rook's"),
        (listed(links=("rook-ceph",)), [], "", "is no folder of Rook's"),
        (listed(files=("rook-ceph",)), [], "", "is no folder of Rook's"),
    ],
    ids=["another cluster's", "not of Rook", "a link", "a file"],
)
def test_what_is_not_surely_the_clusters_stays(entries: Any, inside: Any, config: str, words: str) -> None:
    plan = data_dir_plan(entries, DIR, inside, config, OWN)
    assert plan["remove"] == []
    assert words in plan["problem"]


@pytest.mark.parametrize("entries", [[], listed("mon-a"), listed("other"), listed(files=("note",))])
def test_without_the_clusters_folder_nothing_is_its(entries: Any) -> None:
    plan = data_dir_plan(entries, DIR, [], "", OWN)
    assert (plan["remove"], plan["problem"]) == ([], "")


def test_beside_another_folder_the_monitors_may_be_its() -> None:
    plan = data_dir_plan(listed("rook-ceph", "other", "mon-a"), DIR, ["log"], "", OWN)
    assert plan["remove"] == [f"{DIR}/rook-ceph"]
    assert plan["keep"] == ["mon-a", "other"]


def test_files_beside_and_mount_points_stay() -> None:
    plan = data_dir_plan(listed("rook-ceph", "mon-a", files=("note",)), DIR, ["log"], "", OWN)
    assert plan["remove"] == [f"{DIR}/mon-a", f"{DIR}/rook-ceph"]
    plan = data_dir_plan(listed("rook-ceph", "lost+found"), DIR, ["log"], "", OWN)
    assert plan == {"remove": [f"{DIR}/rook-ceph"], "keep": ["lost+found"], "problem": ""}
    assert data_dir_plan(listed("rook-ceph"), DIR, ["log"], "", OWN, mounted=True)["remove"] == [f"{DIR}/rook-ceph"]


@given(
    folders=st.sets(st.sampled_from(["rook-ceph", "other", "mon-a", "exporter", "lost+found", "home", "x.csi.ceph.com"])),
    files=st.sets(st.sampled_from(["note", "a.conf"])),
    inside=st.sets(st.sampled_from(["log", "crash", "photos"])),
    mounted=st.booleans(),
)
def test_nothing_outside_and_nothing_of_others_is_ever_removed(
    folders: set[str], files: set[str], inside: set[str], mounted: bool
) -> None:
    plan = data_dir_plan(listed(*folders, files=tuple(files)), DIR, inside, "", OWN, mounted=mounted)
    gone = {path[len(DIR) + 1 :] for path in plan["remove"] if path != DIR}
    assert all(path == DIR or path.startswith(DIR + "/") for path in plan["remove"])
    assert not gone & {"other", "home", "lost+found", *files}
    if DIR in plan["remove"]:
        assert folders | files == gone
        assert not mounted
    if plan["remove"]:
        assert "rook-ceph" in folders


STORAGE = {
    "nodes": [
        {"name": "n1", "devices": [{"name": "/dev/osds/a", "config": {"metadataDevice": "/dev/fast/db"}}, {"name": "sdb"}]},
        {"name": "n2", "devices": [{"name": "/dev/osds/a"}]},
    ]
}


@pytest.mark.parametrize(
    ("volumes", "shared"),
    [
        ({"n1": ["/dev/osds/a", "/dev/fast/db", "/dev/system/root"]}, []),
        ({"n1": ["/dev/osds/a", "/dev/osds/home", "/dev/fast/db"]}, ["/dev/osds on n1 (/dev/osds/home)"]),
        ({"n1": ["/dev/osds/a", "/dev/fast/db", "/dev/fast/swap"]}, ["/dev/fast on n1 (/dev/fast/swap)"]),
        ({"n2": ["/dev/osds/a", "/dev/osds/b"], "n3": ["/dev/osds/c"]}, ["/dev/osds on n2 (/dev/osds/b)"]),
        ({}, []),
    ],
)
def test_a_volume_that_is_none_of_the_clusters_makes_its_group_a_shared_one(volumes: Any, shared: list[str]) -> None:
    assert shared_groups(STORAGE, volumes) == shared
