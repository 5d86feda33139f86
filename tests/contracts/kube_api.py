# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every KubeApi must do. The suite runs on the in-memory fake and on a real API server, so the fake cannot lie."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, Conflict
from ansible_collections.kubestead.platform.plugins.module_utils._core.ports import KubeApi

NAMESPACES = "/api/v1/namespaces"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def config_map(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"a": "1"}}


class KubeApiContract:
    """Subclasses give the fixture ``api``."""

    @pytest.fixture
    def maps(self, api: KubeApi) -> Iterator[str]:
        """The path of the ConfigMaps of a fresh namespace."""
        name = f"contract-{uuid.uuid4().hex[:10]}"
        api.call("POST", NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        yield f"{NAMESPACES}/{name}/configmaps"
        api.call("DELETE", f"{NAMESPACES}/{name}")

    def test_what_is_created_can_be_read_and_has_an_identity(self, api: KubeApi, maps: str) -> None:
        created = api.call("POST", maps, config_map("one"))
        assert created["metadata"]["uid"] and created["metadata"]["resourceVersion"]
        read = api.call("GET", f"{maps}/one")
        assert read["data"] == {"a": "1"}
        assert read["metadata"]["uid"] == created["metadata"]["uid"]
        assert read["metadata"]["namespace"] == maps.split("/")[4]

    def test_a_missing_object_is_404_not_found(self, api: KubeApi, maps: str) -> None:
        with pytest.raises(BackendFailed) as caught:
            api.call("GET", f"{maps}/nope")
        assert caught.value.facts["status"] == 404 and caught.value.facts["reason"] == "NotFound"
        assert "nope" in str(caught.value)

    def test_creating_in_a_missing_namespace_is_404(self, api: KubeApi) -> None:
        with pytest.raises(BackendFailed) as caught:
            api.call("POST", f"{NAMESPACES}/no-such-namespace/configmaps", config_map("one"))
        assert caught.value.facts["status"] == 404

    def test_creating_twice_is_a_conflict_that_says_already_exists(self, api: KubeApi, maps: str) -> None:
        api.call("POST", maps, config_map("one"))
        with pytest.raises(Conflict) as caught:
            api.call("POST", maps, config_map("one"))
        assert caught.value.facts["status"] == 409 and caught.value.facts["reason"] == "AlreadyExists"

    def test_replacing_from_an_old_version_is_a_conflict(self, api: KubeApi, maps: str) -> None:
        first = api.call("POST", maps, config_map("one"))
        second = api.call("PUT", f"{maps}/one", {**first, "data": {"a": "2"}})
        assert second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
        with pytest.raises(Conflict) as caught:
            api.call("PUT", f"{maps}/one", {**first, "data": {"a": "3"}})
        assert caught.value.facts["reason"] == "Conflict"
        assert api.call("GET", f"{maps}/one")["data"] == {"a": "2"}

    def test_a_patch_merges_and_null_takes_away(self, api: KubeApi, maps: str) -> None:
        api.call("POST", maps, config_map("one", team="red"))
        patched = api.call("PATCH", f"{maps}/one", {"data": {"b": "2"}, "metadata": {"labels": {"team": None, "new": "x"}}})
        assert patched["data"] == {"a": "1", "b": "2"}
        assert patched["metadata"]["labels"] == {"new": "x"}

    def test_a_delete_with_another_uid_is_a_conflict_and_with_its_own_it_goes(self, api: KubeApi, maps: str) -> None:
        created = api.call("POST", maps, config_map("one"))
        options = {"apiVersion": "v1", "kind": "DeleteOptions"}
        with pytest.raises(Conflict):
            api.call("DELETE", f"{maps}/one", {**options, "preconditions": {"uid": str(uuid.uuid4())}})
        meta = created["metadata"]
        own = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        api.call("DELETE", f"{maps}/one", {**options, "preconditions": own})
        with pytest.raises(BackendFailed):
            api.call("GET", f"{maps}/one")

    def test_a_dry_run_changes_nothing(self, api: KubeApi, maps: str) -> None:
        api.call("POST", maps, config_map("one"), {"dryRun": "All"})
        assert "one" not in [found["metadata"]["name"] for found in api.list_all(maps).objects]

    def test_an_apply_makes_what_is_missing_and_changes_the_rest(self, api: KubeApi, maps: str) -> None:
        query = {"fieldManager": "contract", "force": "true"}
        with pytest.raises(BackendFailed) as caught:
            api.call("APPLY", f"{NAMESPACES}/no-such-namespace/configmaps/one", config_map("one"), query)
        assert caught.value.facts["status"] == 404
        assert api.call("APPLY", f"{maps}/one", config_map("one"), query)["data"] == {"a": "1"}
        before = api.call("GET", f"{maps}/one")
        more = {**config_map("one"), "data": {"a": "1", "b": "2"}}
        judged = api.call("APPLY", f"{maps}/one", more, {**query, "dryRun": "All"})
        assert judged["data"] == {"a": "1", "b": "2"}
        assert api.call("GET", f"{maps}/one") == before
        again = api.call("APPLY", f"{maps}/one", config_map("one"), {**query, "dryRun": "All"})
        assert {**again, "metadata": {}} == {**before, "metadata": {}}

    def test_a_list_selects_by_label(self, api: KubeApi, maps: str) -> None:
        for name, team in (("one", "red"), ("two", "blue"), ("three", "red")):
            api.call("POST", maps, config_map(name, team=team))
        found = api.list_all(maps, {"labelSelector": "team=red"})
        assert sorted(one["metadata"]["name"] for one in found.objects) == ["one", "three"]
        assert found.resource_version

    def test_a_list_leaves_out_by_label(self, api: KubeApi, maps: str) -> None:
        for name, labels in (("one", {"team": "red"}), ("two", {"team": ""}), ("three", {})):
            api.call("POST", maps, config_map(name, mine="1", **labels))
        found = api.list_all(maps, {"labelSelector": "mine=1,!team"})
        assert [one["metadata"]["name"] for one in found.objects] == ["three"]

    def test_a_list_leaves_out_by_field(self, api: KubeApi, maps: str) -> None:
        for name in ("one", "two", "three"):
            api.call("POST", maps, config_map(name, f="1"))
        found = api.list_all(maps, {"labelSelector": "f=1", "fieldSelector": "metadata.name!=one,metadata.name!=two"})
        assert [one["metadata"]["name"] for one in found.objects] == ["three"]

    def test_a_list_over_all_namespaces_finds_those_of_each(self, api: KubeApi, maps: str) -> None:
        mark = uuid.uuid4().hex
        api.call("POST", maps, config_map("one", mark=mark))
        found = api.list_all("/api/v1/configmaps", {"labelSelector": f"mark={mark}"})
        assert [one["metadata"]["namespace"] for one in found.objects] == [maps.split("/")[4]]

    def test_a_list_longer_than_a_page_is_whole(self, api: KubeApi, maps: str) -> None:
        for number in range(520):
            api.call("POST", maps, config_map(f"n{number}", page="yes"))
        names = [one["metadata"]["name"] for one in api.list_all(maps, {"labelSelector": "page=yes"}).objects]
        assert len(names) == len(set(names)) == 520

    def test_a_watch_tells_what_happens_after_the_list(self, api: KubeApi, maps: str) -> None:
        api.call("POST", maps, config_map("before", w="1"))
        selector = {"labelSelector": "w=1"}
        version = api.list_all(maps, selector).resource_version

        def write() -> None:
            api.call("POST", maps, config_map("after", w="1"))
            api.call("POST", maps, config_map("unlabelled"))
            api.call("PATCH", f"{maps}/after", {"data": {"a": "2"}})
            api.call("DELETE", f"{maps}/after")

        writer = threading.Thread(target=write)
        writer.start()
        seen = []
        for event in api.watch(maps, version, seconds=20, query=selector):
            seen.append((event["type"], event["object"]["metadata"]["name"]))
            if event["type"] == "DELETED":
                break
        writer.join()
        assert seen == [("ADDED", "after"), ("MODIFIED", "after"), ("DELETED", "after")]

    def test_a_watch_ends_when_its_time_is_over(self, api: KubeApi, maps: str) -> None:
        version = api.list_all(maps, {"labelSelector": "w=none"}).resource_version
        assert list(api.watch(maps, version, seconds=0.5, query={"labelSelector": "w=none"})) == []

    def test_it_may_be_used_from_several_threads(self, api: KubeApi, maps: str) -> None:
        threads = [threading.Thread(target=api.call, args=("POST", maps, config_map(f"t{n}", t="1"))) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(api.list_all(maps, {"labelSelector": "t=1"}).objects) == 16

    def test_objects_of_the_cluster_are_listed_too(self, api: KubeApi) -> None:
        name = f"contract-{uuid.uuid4().hex[:10]}"
        api.call(
            "POST",
            f"{RBAC}/clusterroles",
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": {"name": name, "labels": {"contract": name}},
                "rules": [],
            },
        )
        found = api.list_all(f"{RBAC}/clusterroles", {"labelSelector": f"contract={name}"})
        assert [one["metadata"]["name"] for one in found.objects] == [name]
        api.call("DELETE", f"{RBAC}/clusterroles/{name}")

    def test_it_knows_which_server_it_talks_to(self, api: KubeApi) -> None:
        assert api.server.startswith("https://")
