# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged and hostile PEM, DER, records, ledgers, Secrets and names: an error of ours or a plain no, never anything else."""

from __future__ import annotations

import base64
import json
import random
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, Union

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._adapters.keys import Keys
from ansible_collections.kubestead.platform.plugins.module_utils._certs import ledger, request
from ansible_collections.kubestead.platform.plugins.module_utils._certs.authority import authorities, issued_by
from ansible_collections.kubestead.platform.plugins.module_utils._certs.certificate import chain_of, read_certificate
from ansible_collections.kubestead.platform.plugins.module_utils._certs.pair import StoredPair, StoredVersion, pair_of
from ansible_collections.kubestead.platform.plugins.module_utils._certs.supplied import judged
from ansible_collections.kubestead.platform.plugins.module_utils._certs.wanted import Person
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, CollError

from fakes.csr_signer import CsrSigner
from fakes.kube_api import FakeKubeApi
from scale import scaled

from .authorities import Authority, own_request
from .conftest import World, wanted

KEYS = Keys()
PERSON = Person("anna", ("red",))
KEY = KEYS.make("ecdsa-p256")[0]
REQUEST = KEYS.sign(KEY, PERSON)
CERTIFICATE = CsrSigner(FakeKubeApi()).issue(
    {"request": base64.b64encode(REQUEST.encode()).decode(), "expirationSeconds": 3600}
)
CA = Authority()
VERSION = "20261124T120000Z-0123456789ab-01234567"
RECORD = request.record_of(request.Attempt(VERSION, "o", "anna", ("red",), "a/b", ("client auth",), 600, REQUEST, "00"))
LINE = ledger.render([ledger.line_of("anna", read_certificate(CERTIFICATE), "a/b", 0)])


def damaged(rng: random.Random, content: bytes) -> bytes:
    """A few bytes changed, cut out, doubled or put in; half of the time inside of the PEM's DER."""
    begin, middle, end = content.partition(b"-----\n")
    inner = rng.random() < 0.5 and middle
    if inner:
        body, close, rest = end.partition(b"-----END")
        return begin + middle + base64.encodebytes(_changed(rng, base64.b64decode(body))) + close + rest
    return _changed(rng, content)


def _changed(rng: random.Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _change in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at : at + rng.randint(1, 40)]
        elif kind == 2:
            data[at:at] = rng.randbytes(rng.randint(1, 40))
        elif kind == 3:
            data[at:at] = data[at : at + rng.randint(1, 200)]
        elif at < len(data):
            data[at] = rng.choice(b"\x00\xff\x80\n-")
    return bytes(data)


def text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


LEAF = Authority("leaf", parent=CA, ca=False).pem.encode()


def certificate_of(content: bytes) -> None:
    issued_by(read_certificate(content).der, CA.pem)


def supplied(content: bytes) -> None:
    judged(wanted({"name": "anna", "groups": ["red"], "csr": text(content)}))


def stored(content: bytes) -> None:
    """All files of a version folder, each of them damaged in turn."""
    for at in range(3):
        parts: list[Any] = [KEY, CERTIFICATE, RECORD]
        parts[at] = content
        version = StoredVersion(VERSION, *parts)
        pair_of(StoredPair("k", "c", version, (version,)), KEYS.inspect)


def server_object(content: bytes) -> None:
    obj: Any = {
        "metadata": {"name": "o", "uid": "1"},
        "spec": {"request": text(content)},
        "status": {"certificate": text(content)},
    }
    request.standing(obj)
    request.differences(obj, request.read_record(RECORD, VERSION), "me")


READERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "certificate": (certificate_of, CERTIFICATE),
    "chain": (lambda content: chain_of(text(content)), LEAF + CA.pem.encode()),
    "authority": (lambda content: authorities(text(content)), CA.pem.encode()),
    "key": (KEYS.inspect, KEY),
    "request": (lambda content: request.request_objections(text(content), PERSON, "00"), REQUEST.encode()),
    "own request": (supplied, own_request("CN=anna,O=red").encode()),
    "record": (lambda content: request.read_record(content, VERSION), RECORD),
    "ledger": (lambda content: ledger.still_valid(ledger.parse(content), "anna", 0), LINE * 3),
    "version folder": (stored, CERTIFICATE),
    "object": (server_object, base64.b64encode(CERTIFICATE)),
}


@pytest.mark.parametrize("name", READERS)
def test_damage_is_told_from_content(name: str) -> None:
    read, good = READERS[name]
    read(good)
    rng = random.Random(name)
    refused = 0
    for _turn in range(scaled(2500)):
        content = damaged(rng, good)
        try:
            read(content)
        except CollError as exc:
            refused += 1
            assert len(str(exc)) < 400 and "\n" not in str(exc)
    assert refused or name in ("key", "request", "ledger", "version folder", "object")


RECORD_VALUES: tuple[Any, ...] = (
    None,
    0,
    -1,
    1e300,
    "",
    "x",
    [],
    ["x"],
    {},
    {"a": 1},
    True,
    [[]],
    "\ud800",
    "../../etc",
    "a" * 5000,
)


def test_a_record_with_other_values_is_refused_or_does_not_fit() -> None:
    rng = random.Random(7)
    good = json.loads(RECORD)
    for _turn in range(scaled(1500)):
        raw = dict(good)
        for _change in range(rng.randint(1, 3)):
            name = rng.choice([*good, "extra"])
            raw[name] = rng.choice(RECORD_VALUES)
        try:
            attempt = request.read_record(json.dumps(raw).encode(), VERSION)
        except CollError:
            continue
        assert not attempt.fits(PERSON, wanted("anna"))


ALPHABET = "ab01._@-:/\\ \0\n\t~%{}$A\u00c9\u0131\u212a\uff33\u202e\u200b\U0001f600'\"*"
WORDS = (
    "system:",
    "..",
    "../x",
    "a/b",
    ".",
    "~",
    "SYSTEM:",
    "\uff53ystem:",
    "kubeadm:cluster-admins",
    "con",
    "anna",
    "\u017f",
    "-",
)


def any_name(rng: random.Random) -> str:
    return "".join(rng.choice(WORDS) if rng.random() < 0.2 else rng.choice(ALPHABET) for _part in range(rng.randint(0, 9)))


def test_a_name_is_refused_or_is_one_plain_part_of_a_path(tmp_path: Path) -> None:
    rng = random.Random(11)
    accepted: set[str] = set()
    for _turn in range(scaled(6000)):
        name = any_name(rng)
        entry: dict[str, Any] = {"name": name} if rng.random() < 0.7 else {"name": "anna", "groups": [name]}
        try:
            wanted(entry)
        except BadInput as exc:
            assert len(exc.sentence()) < 400
            continue
        accepted.add(name)
        assert (tmp_path / f"{name}.key").resolve().parent == tmp_path.resolve()
        assert not unicodedata.normalize("NFKC", name).casefold().startswith("system:")
        assert name.isascii() and name == name.casefold() and not name.startswith((".", "-"))
    assert len(accepted) > 20
    assert len({name.casefold() for name in accepted}) == len(accepted)  # one file each, whatever the file system folds


def junk(rng: random.Random, depth: int = 0) -> Any:
    leaves: list[Any] = [None, True, 0, -1, 2**70, 1.5, "", "x", "\ud800", rng.randbytes(3).hex()]
    if depth > 2 or rng.random() < 0.6:
        return rng.choice(leaves)
    if rng.random() < 0.5:
        return [junk(rng, depth + 1) for _part in range(rng.randint(0, 3))]
    names = ("metadata", "spec", "status", "name", "conditions", "request", "type", "certificate")
    return {rng.choice(names): junk(rng, depth + 1) for _part in range(rng.randint(0, 3))}


def test_a_secret_full_of_junk_ends_in_an_error_of_ours(world: World) -> None:
    """Whoever may write in the namespace may put anything there."""
    world.keep_in_secrets()
    world.run("anna")
    (path,) = [path for path in world.api.objects if "anna-certificate" in path]
    rng, good = random.Random(13), world.api.objects[path]
    for _turn in range(scaled(400)):
        data: dict[str, Union[str, Any]] = dict(good["data"])
        for _change in range(rng.randint(1, 3)):
            name = rng.choice([*good["data"], f"{VERSION}.json", f"{VERSION}.key", "request.json", "../x.json"])
            data[name] = base64.b64encode(damaged(rng, rng.choice((KEY, CERTIFICATE, RECORD)))).decode()
        if rng.random() < 0.2:
            data["tls.crt"] = rng.choice(("not base64", "é", None, 7))
        world.api.objects[path] = {**good, "data": data}
        try:
            done = world.run("anna", check=True)
        except CollError:
            continue
        assert done["anna"].action in ("unchanged", "updated", "created", "failed")
        assert done["anna"].error is None or done["anna"].error.code != "bug"
