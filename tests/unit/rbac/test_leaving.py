# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending access: what goes and what stays, the list of who is refused, kills between any two writes, coming back."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, BadInput, Denied, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._core.window import rfc3339
from ansible_collections.kubestead.platform.plugins.module_utils._rbac import denials, evidence
from ansible_collections.kubestead.platform.plugins.module_utils._rbac.denials import Denial
from hypothesis import given, settings
from hypothesis import strategies as st

from cutoff_world import LIST, World
from fakes.kube_api import FakeKubeApi, forbid
from rbac_world import NOW
from scale import scaled

DAY = 86400


@pytest.fixture
def world() -> World:
    """Anna with a certificate of ten days, a right of her own, one with Bert, and one of her group."""
    one = World()
    one.certificates.issue("anna", 1, 10, ["team-red"])
    one.certificates.issue("bert", 2, 20)
    one.bind("anna-edit", ("User", "anna"))
    one.bind("both-view", ("User", "anna"), ("User", "bert"), role="view")
    one.bind("crew", ("Group", "team-red"), role="view")
    one.request("anna-new", "anna")
    one.request("bert-new", "bert")
    return one


def subjects(world: World, name: str) -> list[str] | None:
    found = world.api.objects.get(f"/apis/rbac.authorization.k8s.io/v1/namespaces/red/rolebindings/{name}")
    return None if found is None else [one["name"] for one in found["subjects"]]


def test_one_person_leaves_and_nobody_else_loses_anything(world: World) -> None:
    done = world.run("anna")
    assert {key: action for key, action in done.actions.items() if action != "created"} == {
        ("rights", "anna"): "removed",
        ("requests", "anna"): "removed",
    }
    assert subjects(world, "anna-edit") is None
    assert subjects(world, "both-view") == ["bert"]
    assert subjects(world, "crew") == ["team-red"]
    assert [path for path in world.api.objects if path.endswith(("anna-new", "bert-new"))] == [
        "/apis/certificates.k8s.io/v1/certificatesigningrequests/bert-new"
    ]
    assert world.listed() == ["anna"]
    record = world.files.record("anna")
    assert record["before"]["writable"] == ["red"]
    assert [one["what"] for one in record["removed"]] == [
        "rolebinding red/anna-edit (edit)",
        "rolebinding red/both-view (view)",
        "certificate request anna-new of anna",
    ]
    before = {one["what"]: one["answer"] for one in record["before"]["probes"]}
    assert before["list configmaps in red"] != "allowed"  # the roles of this small cluster speak of pods
    assert "the group team-red" in " ".join(evidence.remaining(record))


def test_a_second_run_changes_nothing_and_tells_the_same(world: World) -> None:
    first = world.run("anna")
    second = world.run("anna")
    assert not second.changed and second.writes == []
    assert set(second.actions.values()) == {"unchanged"}
    assert second.told["evidence"] == first.told["evidence"]


def test_check_mode_says_what_the_run_does(world: World) -> None:
    announced = world.run("anna", check=True)
    assert announced.writes == [] and world.files.records == {} and world.files.listed is None
    assert announced.actions == world.run("anna").actions


def test_foreign_bindings_are_named_and_only_taken_when_asked(world: World) -> None:
    world.bind("foreign", ("User", "anna"), ("User", "bert"), owner="")
    done = world.run("anna")
    assert done.entries["rights", "anna"]["staying"][-1] == "rolebinding red/foreign (edit) by the name"
    bound = "Still bound: rolebinding red/foreign (edit) by the name."
    assert bound in evidence.remaining(world.files.record("anna"))
    done = world.run("anna", foreign_bindings="remove")
    assert done.actions["rights", "anna"] == "removed" and subjects(world, "foreign") == ["bert"]
    assert bound not in evidence.remaining(world.files.record("anna"))


def test_bindings_of_kubernetes_itself_always_stay(world: World) -> None:
    path = world.bind("system:x", ("User", "anna"), owner="")
    world.run("anna", foreign_bindings="remove")
    assert path in world.api.objects


def test_a_group_that_only_one_person_carries_goes_with_them(world: World) -> None:
    own = "anna." + "0123456789abcdef" * 2
    world.bind("own", ("Group", own))
    world.bind("other", ("Group", "annabel." + "0" * 32))
    world.run("anna")
    assert subjects(world, "own") is None and subjects(world, "other") is not None


def test_every_beat_is_done_even_if_an_earlier_one_failed(world: World) -> None:
    world.api.on_write.append(forbid("POST", "validatingadmissionpolic"))
    world.api.on_write.append(forbid("DELETE", "anna-edit"))
    done = world.run("anna")
    failed = {key for key, action in done.actions.items() if action == "failed"}
    assert failed == {("denial", "anna"), ("denial_list", "cutoff"), ("rights", "anna")}
    assert not any(path.endswith("/anna-new") for path in world.api.objects)
    assert any("red/anna-edit" in line for line in evidence.remaining(world.files.record("anna")))
    world.api.on_write.clear()
    done = world.run("anna")
    assert "failed" not in done.actions.values()
    assert subjects(world, "anna-edit") is None and world.listed() == ["anna"]
    assert not any("red/anna-edit" in line for line in evidence.remaining(world.files.record("anna")))


def outcome(world: World) -> dict[str, Any]:
    """Everything that counts of a cluster and its records, without times and versions."""
    kept = {path: (one.get("subjects"), (one.get("spec") or {}).get("validations")) for path, one in world.api.objects.items()}
    record = world.files.record("anna")
    return {"objects": kept, "kept_out": world.kept_out(), "remaining": evidence.remaining(record)}


def deadly(world: World, number: int, *, before: bool) -> list[str]:
    """The process is gone at that write, of the cluster or of a file; which writes there were."""
    writes: list[str] = []

    def dying(original: Any, name: str, is_write: Callable[..., bool]) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            if not is_write(*given):
                return original(*given, **named)
            writes.append(f"{name} {given[0]} {given[1] if len(given) > 1 else ''}")
            last = len(writes) == number
            if last and before:
                raise KeyboardInterrupt
            answer = original(*given, **named)
            if last:
                raise KeyboardInterrupt
            return answer

        return call

    def changes(method: str, path: str, *_rest: Any) -> bool:
        return method != "GET" and "reviews" not in path

    world.api.call = dying(world.api.call, "api", changes)  # type: ignore[method-assign]
    for name in ("write", "write_denials"):
        setattr(world.files, name, dying(getattr(world.files, name), name, lambda *_given: True))
    return writes


def fresh_anna() -> World:
    one = World()
    one.certificates.issue("anna", 1, 10, ["team-red"])
    one.bind("anna-edit", ("User", "anna"))
    one.bind("crew", ("Group", "team-red"), role="view")
    one.request("anna-new", "anna", certificate="7")
    return one


@pytest.mark.parametrize("before", [True, False])
def test_a_kill_at_any_write_is_made_good_by_the_next_run(*, before: bool) -> None:
    whole = fresh_anna()
    writes = deadly(whole, 0, before=before)
    whole.run("anna", concurrency=1)
    assert len(writes) == 7  # the record twice, the list, the policy and its binding, the right, the request
    for number in range(1, len(writes) + 1):
        world = fresh_anna()
        deadly(world, number, before=before)
        with pytest.raises(KeyboardInterrupt):
            world.run("anna", concurrency=1)
        world.run("anna")
        assert not world.run("anna").changed, number
        assert outcome(world) == outcome(whole), number


def test_requests_made_for_others_go_too_and_are_named(world: World) -> None:
    world.request("for-boss", "boss", by="anna", certificate="99")
    world.run("anna")
    assert not any(path.endswith("/for-boss") for path in world.api.objects)
    assert world.files.record("anna")["left_behind"]["requests"] == ["for-boss for boss"]
    world.run("anna", beats=["prove"], strategies=["grants"])
    assert world.files.record("anna")["left_behind"]["requests"] == ["for-boss for boss"]


def test_an_issued_request_is_in_the_ledger_before_it_goes(world: World) -> None:
    world.request("late", "anna", certificate="77")
    world.run("anna")
    assert f"X509SHA256={77:064x}" in {line["credential_id"] for line in world.certificates.written}


def test_more_people_than_allowed_are_nobody(world: World) -> None:
    with pytest.raises(Refused, match="3 people would leave in one run, and max_offboardings is 2"):
        world.run("anna", "bert", "carla", max_offboardings=2)
    assert world.api.writes == [] and world.files.records == {}
    world.run("anna", "bert", max_offboardings=2)
    world.run("anna", "bert", "carla", max_offboardings=1)  # who left before does not count


def test_a_refusal_goes_when_the_last_certificate_has_ended(world: World) -> None:
    world.certificates.issue("anna", 3, 5)
    world.run("anna", "bert")
    assert world.kept_out() == ["anna", "bert"]
    world.now += 10 * DAY
    done = world.run("bert")
    assert done.actions["denial", "anna"] == "removed" and world.listed() == ["bert"]
    world.now += 10 * DAY
    assert world.run(check=True).actions == {("denial", "bert"): "removed", ("denial_list", "cutoff"): "updated"}
    assert world.run().actions == {("denial", "bert"): "removed", ("denial_list", "cutoff"): "updated"}
    assert world.listed() == [] and world.kept_out() == []
    assert world.run("bert").actions["denial", "bert"] == "unchanged"  # the evidence tells that the refusal has ended
    assert not world.run("bert").changed


def test_of_somebody_the_ledger_does_not_know_the_longest_life_is_assumed_and_does_not_move(world: World) -> None:
    world.run("carla")
    first = world.files.listed
    world.now += DAY
    assert not world.run("carla").changed and world.files.listed == first
    world.now += 364 * DAY
    assert world.run("carla", state="absent").actions == {("marker", "carla"): "failed"}
    world.now += DAY
    assert world.run("carla", state="absent").actions["marker", "carla"] == "removed" and world.kept_out() == []


def test_one_lost_device_is_refused_by_its_id_and_until_its_end(world: World) -> None:
    identity = f"X509SHA256={2:064x}"
    lost = {"credential_id": identity, "name": "bert"}
    world.run(credentials=[lost])
    assert world.listed() == [identity]
    assert rfc3339(NOW + 20 * DAY).encode() in (world.files.listed or b"")
    assert world.files.records == {} and not world.run(credentials=[lost]).changed
    world.run(credentials=[{**lost, "state": "absent"}])
    assert world.listed() == []


@pytest.mark.parametrize("wrong", ["X509SHA256=xyz", "2", "X509SHA256=" + "A" * 64, "X509SHA256=" + "a" * 64 + "'"])
def test_what_is_no_credential_id_ends_the_task(world: World, wrong: str) -> None:
    with pytest.raises(BadInput, match="is not a credential id"):
        world.run(credentials=[{"credential_id": wrong, "name": "bert"}])


def test_coming_back_waits_for_the_end_of_every_certificate(world: World) -> None:
    world.run("anna")
    back = world.run("anna", state="absent")
    assert back.actions == {("marker", "anna"): "failed"} and not back.changed
    assert rfc3339(NOW + 10 * DAY) in back.entries["marker", "anna"]["error"]["msg"]
    world.now += 10 * DAY
    back = world.run("anna", state="absent")
    assert back.actions["marker", "anna"] == "removed" and world.kept_out() == [] and world.listed() == []
    assert world.files.archived and not world.run("anna", state="absent").changed
    assert world.run("nobody-left", state="absent").actions == {}


def test_coming_back_with_rights_bound_to_the_issue_turns_the_refusal_to_the_old_certificates(world: World) -> None:
    world.run("anna")
    world.run("anna", state="absent", bound_to="issue")
    assert world.listed() == [f"X509SHA256={1:064x}"]
    assert world.kept_out() == [f"X509SHA256={1:064x}"]


def test_a_policy_of_others_under_our_name_is_left_alone(world: World) -> None:
    theirs = {"validations": [{"expression": "true"}]}
    world.api.put(LIST, {"metadata": {}, "spec": theirs, "kind": "ValidatingAdmissionPolicy"})
    done = world.run("anna")
    assert done.actions["denial_list", "cutoff"] == "failed" and world.api.objects[LIST]["spec"] == theirs
    assert subjects(world, "anna-edit") is None


def test_a_changed_policy_is_put_right(world: World) -> None:
    world.run("anna")
    live = world.api.objects[LIST]
    world.api.change(LIST, {**live, "spec": {**live["spec"], "validations": [{"expression": "true"}]}})
    assert world.run("anna").actions["denial_list", "cutoff"] == "updated"
    assert world.listed() == ["anna"]


def test_a_damaged_list_or_record_lets_nobody_in(world: World) -> None:
    world.run("anna")
    good = world.files.listed
    world.files.listed = b'{"denials": [{"who": "an'
    with pytest.raises(BadInput, match="is damaged"):
        world.run("bert")
    world.files.listed = good
    world.files.records["anna"] = b"{}"
    with pytest.raises(BadInput, match="The record of 'anna' is damaged"):
        world.run("anna")


def test_the_proof_without_rights_to_look_says_what_was_not_looked_at(world: World) -> None:
    def blind(self: FakeKubeApi, path: str, query: Any = None) -> Any:
        if path.endswith("/secrets"):
            raise Denied("no", status=403)
        return original(path, query)

    original = world.api.list_all
    world.api.list_all = lambda path, query=None: blind(world.api, path, query)  # type: ignore[method-assign]
    world.run("anna")
    lines = evidence.remaining(world.files.record("anna"))
    assert "Not looked at: token secrets, the caller may not list them." in lines


def test_service_accounts_are_made_anew_once_and_only_where_the_person_could_write(world: World) -> None:
    for place in ("red", "blue", "kube-system"):
        path = f"/api/v1/namespaces/{place}/serviceaccounts/default"
        world.api.put(path, {"metadata": {"labels": {"x": "y"}}, "secrets": [{"name": "t"}], "kind": "ServiceAccount"})
    old = {path: one["metadata"]["uid"] for path, one in world.api.objects.items() if "/serviceaccounts/" in path}
    beats = ["mark", "deny"], ["rights", "requests", "tokens", "prove"]
    for some in beats:
        done = world.run("anna", beats=some)
    assert done.entries["tokens", "anna"]["service_accounts"] == ["red/default"]
    new = {path: world.api.objects[path]["metadata"]["uid"] for path in old}
    assert {path.split("/")[4] for path in old if old[path] != new[path]} == {"red"}
    assert not world.run("anna", beats=beats[1]).changed


def test_what_was_done_elsewhere_is_noted_with_its_time(world: World) -> None:
    world.run("anna")
    world.now += 60
    world.run({"name": "anna", "done": {"account": "locked"}}, beats=[])
    assert world.files.record("anna")["done"] == {"account": {"what": "locked", "at": rfc3339(NOW + 60)}}
    world.now += 60
    assert not world.run({"name": "anna", "done": {"account": "locked"}}, beats=[]).changed
    assert f"{rfc3339(NOW + 60)}  account: locked" in world.files.texts["anna"]


names = st.text(string.ascii_lowercase + string.digits + "._@-", min_size=1, max_size=20).map(lambda text: "u" + text)
people = st.lists(names, unique=True, max_size=8)


@settings(max_examples=scaled(100), deadline=None)
@given(people, st.integers(1, 40))
def test_the_stored_list_reads_back_as_it_was(who: list[str], days: int) -> None:
    listed = denials.current([Denial(name, name, NOW + days * DAY, ("policy", "authorizer")) for name in who], NOW)
    assert denials.parse(denials.render(listed), "list") == listed


@settings(max_examples=scaled(30), deadline=None)
@given(st.integers(0, 3000), st.integers(0, 3000))
def test_no_expression_is_longer_than_a_server_loads(users: int, devices: int) -> None:
    listed = [Denial(f"user{number:060d}", "x", NOW + 1, ("authorizer",)) for number in range(users)]
    listed += [Denial(f"X509SHA256={number:064x}", "x", NOW + 1, ("authorizer",)) for number in range(devices)]
    config = denials.authorization_config(listed, "/nowhere", ["Node", "RBAC"])
    hooks = [one for one in config["authorizers"] if one["type"] == "Webhook"]
    expressions = [one["webhook"]["matchConditions"][0]["expression"] for one in hooks]
    policy = next(iter(denials.policy_objects("x", [replace(one, means=("policy",)) for one in listed]).values()))
    assert len(policy["spec"]["validations"]) == max(1, len(hooks))
    assert all(len(one["expression"]) < 100_000 for one in policy["spec"]["validations"])
    assert all(len(one) < 100_000 for one in expressions)
    assert sum(one.count("'user0") + one.count("'X509SHA256=") for one in expressions) == len(listed)
    assert len({one["name"] for one in config["authorizers"]}) == len(config["authorizers"])
    assert [one["type"] for one in config["authorizers"]][-2:] == ["Node", "RBAC"]
    assert bool(hooks) == bool(listed)


def test_the_configuration_holds_only_what_is_to_stand_there() -> None:
    listed = [Denial("anna", "anna", NOW + 1, ("policy",)), Denial("bert", "bert", NOW + 1, ("authorizer",))]
    text = json.dumps(denials.authorization_config(listed, "/nowhere", []))
    assert "'bert'" in text and "anna" not in text


@settings(max_examples=scaled(60), deadline=None)
@given(
    st.sets(st.sampled_from(["anna", "bert", "carla"]), min_size=1),
    st.sets(st.sampled_from(["grants", "policy", "authorizer"])),
)
def test_any_choice_is_done_once(who: set[str], chosen: set[str]) -> None:
    world = World()
    for number, name in enumerate(["anna", "bert"], 1):
        world.certificates.issue(name, number, 10, [f"{name}.{number:032x}"])
        world.bind(f"{name}-x", ("User", name), ("Group", f"{name}.{number:032x}"))
    first = world.run(*who, strategies=sorted(chosen))
    assert "failed" not in first.actions.values()
    assert not world.run(*who, strategies=sorted(chosen)).changed
    for name in ("anna", "bert"):
        assert (subjects(world, f"{name}-x") is None) == (name in who and "grants" in chosen)
    assert set(world.kept_out()) == (who if chosen & {"policy", "authorizer"} else set())
    assert (LIST in world.api.objects) == ("policy" in chosen)


def test_a_server_that_fails_is_told_and_the_record_stays_whole(world: World) -> None:
    def fail(method: str, path: str, _obj: Any) -> None:
        if method == "DELETE" and path.endswith("anna-edit"):
            raise BackendFailed("the server went away", status=500)

    world.api.on_write.append(fail)
    done = world.run("anna")
    assert done.entries["rights", "anna"]["error"]["msg"] == "the server went away"
    assert world.files.record("anna")["after"]["rights"][0]["binding"] == "rolebinding red/anna-edit (edit)"
