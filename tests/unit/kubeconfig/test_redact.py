# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences are told completely, and no secret is told."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig.codec import Plain
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig.embed import Expected
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig.redact import difference
from hypothesis import given
from hypothesis import strategies as st

SECRET = "s3cr3t-canary-value"
SECRET_USER: dict[str, Any] = {
    "client-key-data": SECRET,
    "token": SECRET,
    "username": "anna",
    "password": SECRET,
    "exec": {"command": "oidc", "args": [f"--secret={SECRET}"], "env": [{"name": "T", "value": SECRET}]},
    "auth-provider": {"config": {"id-token": SECRET}},
    "extensions": [{"name": "x", "extension": SECRET}],
    "x-future": SECRET,
}


def document(user: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"users": [{"name": "anna", "user": user}], **more}


def test_no_secret_is_shown_whether_it_comes_or_goes() -> None:
    proxy = f"http://me:{SECRET}@proxy:3128/p"
    with_secrets = document(
        SECRET_USER, clusters=[{"name": "c", "cluster": {"server": "https://x", "proxy-url": proxy}}], top=SECRET
    )
    for before, after in (({}, with_secrets), (with_secrets, {}), (with_secrets, document({"token": "other"}))):
        shown = json.dumps(difference(before, after))
        assert SECRET not in shown
    assert "http://proxy:3128/p" in json.dumps(difference({}, with_secrets))
    assert "oidc" in json.dumps(difference({}, with_secrets))


def test_another_secret_can_be_told_from_the_same() -> None:
    before, after = difference(document(SECRET_USER), document({**SECRET_USER, "token": "other", "password": "other"}))
    old, new = before["users/anna"], after["users/anna"]
    assert old["token"] != new["token"]
    assert new["token"].startswith("sha256:")
    assert (old["password"], new["password"]) == ("(hidden)", "(hidden, another value)")
    assert {key for key in old if old[key] != new[key]} == {"token", "password"}


def test_what_did_not_change_is_not_shown() -> None:
    before, after = difference(document(SECRET_USER, kind="Config"), document(SECRET_USER, kind="Other"))
    assert (before, after) == ({"kind": "Config"}, {"kind": "Other"})


def test_what_an_earlier_task_would_have_made_is_said_so() -> None:
    _before, after = difference({}, document({"client-key-data": Expected("/k/anna.key")}))
    assert after["users/anna"]["client-key-data"] == "from /k/anna.key, made earlier in this run"


def test_a_name_that_readers_disagree_about_is_shown_by_its_place() -> None:
    _before, after = difference({}, {"users": [{"name": Plain("no"), "user": {"token": "t"}}]})
    assert list(after) == ["users/#0"]


keys = st.one_of(
    st.sampled_from(sorted({*SECRET_USER, "server", "as", "as-groups", "cluster", "namespace"})), st.text(max_size=4)
)
secret = st.just(SECRET)
nested = st.recursive(secret, lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(keys, inner, max_size=2)))
PUBLIC = {"server", "username", "as", "as-groups", "cluster", "namespace", "command", "proxy-url"}


@given(st.dictionaries(keys, nested, max_size=5), st.dictionaries(keys, nested, max_size=5))
def test_only_keys_known_to_be_public_are_ever_shown(left: dict[str, Any], right: dict[str, Any]) -> None:
    def private(value: dict[str, Any]) -> dict[str, Any]:
        return {key: child for key, child in value.items() if key not in PUBLIC and key != "exec"}

    assert SECRET not in json.dumps(difference(document(private(left)), document(private(right))))


def test_a_secret_that_was_written_into_a_key_by_mistake_is_hidden() -> None:
    old = {"users": [{"name": "anna", "user": {"token:hush": None, "x hush": 1, "as": "bert"}}]}
    before, after = difference(old, {"users": [{"name": "anna", "user": {"as": "bert"}}]})
    assert "hush" not in json.dumps([before, after])
