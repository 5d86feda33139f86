# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys: every type can be made, signed with and told again; damage is told from a key."""

from __future__ import annotations

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.keys import Keys
from ansible_collections.kubestead.platform.plugins.module_utils._certs.request import request_objections
from ansible_collections.kubestead.platform.plugins.module_utils._certs.wanted import Person
from hypothesis import given
from hypothesis import strategies as st

KEYS = Keys()
PERSON = Person("anna", ("team-blue", "team-red"))


@pytest.mark.parametrize("key_type", ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072"])
def test_a_key_signs_a_request_that_is_ours(key_type: str) -> None:
    key, told = KEYS.make(key_type)
    assert key.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    facts = KEYS.inspect(key)
    assert facts is not None and facts.key_type == key_type and facts == told
    assert request_objections(KEYS.sign(key, PERSON), PERSON, facts.public_key_hash) == ()


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    assert KEYS.inspect(content) is None
    assert KEYS.inspect(b"-----BEGIN PRIVATE KEY-----\n" + content + b"\n-----END PRIVATE KEY-----\n") is None


def test_names_cannot_be_guessed() -> None:
    assert len({KEYS.token() for _time in range(1000)}) == 1000
