# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A documentation fragment and its option group say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from ansible_collections.kubestead.platform.plugins.doc_fragments import bulk, ceph_cluster, kube_auth, ldap_auth, secret_file
from ansible_collections.kubestead.platform.plugins.module_utils._ansible import argspec

PAIRS = {
    "kube_auth": (kube_auth.ModuleDocFragment.DOCUMENTATION, argspec.KUBE_AUTH_SPEC),
    "ldap_auth": (ldap_auth.ModuleDocFragment.DOCUMENTATION, argspec.LDAP_AUTH_SPEC),
    "bulk": (bulk.ModuleDocFragment.DOCUMENTATION, argspec.BULK_SPEC),
    "bulk.state": (bulk.ModuleDocFragment.STATE, argspec.STATE_SPEC),
    "ceph_cluster": (ceph_cluster.ModuleDocFragment.DOCUMENTATION, argspec.CEPH_CLUSTER_SPEC),
    "secret_file": (secret_file.ModuleDocFragment.DOCUMENTATION, argspec.SECRET_FILE_SPEC),
}
COMPARED = ("type", "elements", "default", "choices", "aliases", "required")


def shape(options: Mapping[str, Mapping[str, Any]], nested: str) -> dict[str, Any]:
    """What both sides must agree on; descriptions and no_log have no counterpart."""
    return {
        name: {
            **{key: option[key] for key in COMPARED if key in option},
            **({"nested": shape(option[nested], nested)} if nested in option else {}),
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("name", PAIRS)
def test_fragment_mirrors_spec(name: str) -> None:
    text, group = PAIRS[name]
    assert shape(yaml.safe_load(text)["options"], "suboptions") == shape(group.options, "options")


@pytest.mark.parametrize("name", PAIRS)
def test_every_variable_of_the_environment_is_documented(name: str) -> None:
    text, group = PAIRS[name]
    for names in group.environment.values():
        for variable in names:
            assert f"E({variable})" in text


@pytest.mark.parametrize("name", PAIRS)
def test_options_that_look_like_secrets_say_whether_they_are(name: str) -> None:
    for option, spec in PAIRS[name][1].options.items():
        if any(word in option for word in ("pw", "password", "key", "token", "secret")):
            assert "no_log" in spec, option
