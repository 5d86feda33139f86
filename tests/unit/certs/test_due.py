# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a certificate is due, and why; and the ledger."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._certs import ledger
from ansible_collections.kubestead.platform.plugins.module_utils._certs.certificate import BACKDATE, Certificate
from ansible_collections.kubestead.platform.plugins.module_utils._certs.due import reason_due
from ansible_collections.kubestead.platform.plugins.module_utils._certs.pair import KeyFacts, Pair
from ansible_collections.kubestead.platform.plugins.module_utils._certs.wanted import Person
from ansible_collections.kubestead.platform.plugins.module_utils._core.window import rfc3339
from hypothesis import given
from hypothesis import strategies as st

from .conftest import wanted

DAY = 86400
NOW = 1_800_000_000
ANNA = Person("anna", ("team-red",), 30 * DAY)
CERTIFICATE = Certificate("anna", ("team-red",), NOW - BACKDATE, NOW + 30 * DAY, "1", "X509SHA256=aa", "hash")
PAIR = Pair("anna.key", "anna.crt", "v1", KeyFacts("ecdsa-p256", "hash"), certificate=CERTIFICATE)


def reason(pair: Pair = PAIR, person: Person = ANNA, at: int = NOW, **task: str) -> str:
    return reason_due(person, pair, wanted("anna", **task), at)


def changed(**fields: object) -> Pair:
    return replace(PAIR, certificate=replace(CERTIFICATE, **fields))


def test_a_fresh_certificate_is_not_due() -> None:
    assert reason() == ""


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (replace(PAIR, certificate=None), "missing"),
        (replace(PAIR, certificate=None, certificate_damaged=True), "certificate unreadable"),
        (replace(PAIR, key=None), "key missing"),
        (replace(PAIR, key=None, key_damaged=True), "key unreadable"),
        (replace(PAIR, key=KeyFacts("ecdsa-p256", "other")), "key changed"),
        (replace(PAIR, key=KeyFacts("rsa-2048", "hash")), "key type changed"),
        (changed(name="anne"), "subject changed"),
        (changed(groups=("team-blue",)), "groups changed"),
        (changed(oddities=("it is a CA",)), "certificate not as we make them"),
        (changed(not_after=NOW), "expired"),
        (changed(not_before=NOW + 3600), "not yet valid"),
        (changed(not_after=NOW + 60 * DAY), "lifetime shortened"),
        (changed(groups=(), not_after=NOW - 1), "groups changed, expired"),
    ],
)
def test_every_reason_has_a_name(pair: Pair, said: str) -> None:
    assert reason(pair) == said


def test_a_third_of_the_life_before_the_end_it_is_expiring() -> None:
    turn = NOW + 30 * DAY - 30 * DAY * 33 // 100
    assert reason(at=turn - 1) == ""
    assert reason(at=turn) == "expiring"


def test_a_duration_before_the_end_it_is_expiring() -> None:
    assert reason(at=NOW + 19 * DAY, renew_before="10d") == ""
    assert reason(at=NOW + 20 * DAY, renew_before="10d") == "expiring"


def test_a_signer_that_grants_little_does_not_lead_to_endless_renewal() -> None:
    short = changed(not_after=NOW + 3600)
    assert reason(short, renew_before="10d") == ""
    assert reason(short, at=NOW + 1800, renew_before="10d") == "expiring"


def test_key_policies() -> None:
    other = replace(PAIR, key=KeyFacts("rsa-2048", "hash"))
    assert reason(other, key_policy="keep") == ""
    assert reason(key_policy="always") == "key_policy is always"


def test_a_line_of_the_ledger_says_what_is_held_until_when() -> None:
    line = ledger.line_of("anna", CERTIFICATE, "a/b", NOW)
    assert line["not_after"] == rfc3339(NOW + 30 * DAY)
    assert (line["name"], line["groups"], line["signer"]) == ("anna", ["team-red"], "a/b")
    assert ledger.parse(ledger.render([line])) == (line,)
    assert ledger.missing_from([line], [line]) == []


def test_what_is_still_valid_is_of_the_person_and_not_ended() -> None:
    lines = [
        ledger.line_of("anna", CERTIFICATE, "a/b", NOW),
        ledger.line_of("anna", CERTIFICATE, "a/b", NOW),
        ledger.line_of("anna", replace(CERTIFICATE, credential_id="X509SHA256=bb", not_after=NOW - 1), "a/b", NOW),
        ledger.line_of("bert", replace(CERTIFICATE, credential_id="X509SHA256=cc"), "a/b", NOW),
    ]
    assert ledger.still_valid(lines, "anna", NOW) == [{"credential_id": "X509SHA256=aa", "not_after": rfc3339(NOW + 30 * DAY)}]


@given(st.binary(max_size=300))
def test_a_damaged_line_hides_no_other(junk: bytes) -> None:
    line = ledger.line_of("anna", CERTIFICATE, "a/b", NOW)
    assert line in ledger.parse(junk.replace(b"\n", b"") + b"\n" + ledger.render([line]))


@pytest.mark.parametrize(
    ("left", "not_after", "said"),
    [
        (20 * DAY, 30 * DAY, "valid beyond the person's end"),
        (20 * DAY, 20 * DAY, ""),
        (3 * DAY, 3 * DAY, ""),  # within a third of its life, and it lasts as long as one may
        (3 * DAY, DAY, "expiring"),
        (20 * DAY, 20 * DAY - BACKDATE - 60, ""),
        (3 * DAY, 3 * DAY - BACKDATE - 60, ""),
        (659, -1, ""),  # Kubernetes issues nothing that short
        (-5, -1, ""),
    ],
)
def test_an_end_of_the_person_caps_the_certificate(left: int, not_after: int, said: str) -> None:
    (anna,) = replace(wanted("anna"), people=(replace(ANNA, end=NOW + left),)).at(NOW).people
    assert anna.lifetime == max(0, min(30 * DAY, left - 60)) and anna.is_over is (left < 660)
    assert reason(changed(not_before=NOW - 20 * DAY, not_after=NOW + not_after), anna) == said
