# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged files, PEM, base64, names and values by the thousand: an error in words and no write, or a file that reads back.

The damage is drawn from a fixed seed, so that a failure comes back. KUBESTEAD_TEST_SCALE says how many inputs are tried.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from posixpath import normpath
from typing import Any, Callable

import pytest
import yaml
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput, CollError
from ansible_collections.kubestead.platform.plugins.module_utils._core.plan import render_diff
from ansible_collections.kubestead.platform.plugins.module_utils._kubeconfig import codec

from fakes.kubeconfig_world import NOW, World, person
from fakes.pairs import pair_for
from scale import scaled

BATCH = 250
CANARY = "canary-5c1d"
TEXTS = (
    f"""# by hand
apiVersion: v1
kind: Config
preferences: {{colors: true}}
clusters:
- name: prod
  cluster: {{server: "https://old:6443", certificate-authority-data: eA==, extensions: [{{name: x, extension: &a [1, no]}}]}}
- {{name: no, cluster: {{server: https://b, x: *a}}}}
users:
- name: anna
  user: {{token: {CANARY}, as: root}}
- name: 1e3
  user:
    exec: {{command: aws, args: [a, "b"], env: [{{name: A, value: "{CANARY}"}}]}}
contexts:
- name: anna@prod
  context: {{cluster: prod, user: anna}}
current-context: anna@prod
""".encode(),
    json.dumps(
        {
            "kind": "Config",
            "clusters": [{"name": "prod", "cluster": {"server": "https://x", "n": None, "f": 1.5, "b": True}}],
            "users": [{"name": "anna", "user": {"password": CANARY, "username": "a"}}],
            "contexts": [{"name": "c", "context": {"cluster": "prod", "user": "anna", "namespace": "\u00e9\U0001f600"}}],
        }
    ).encode(),
    json.dumps({"users": None, "clusters": {}, "contexts": [], "current-context": 5}, indent=2).encode(),
)
GRIT = tuple(
    "{ } [ ] : - , & * ! % @ ` | > ? # ' \" \\ \t \r \n \0 \x85 \u2028 \ufeff ~ null no !!binary !!python/object:os.system "
    "<<: &a *a --- ... 0x1f 1e3 .inf 99999999999999999999 name: users: - - [[[[[[ {{{{ \ud7ff \U0001f600".split(" ")
)
BYTES = (*(each.encode() for each in GRIT), b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"\x00")


def damaged(rng: random.Random, content: bytes) -> bytes:
    """A few random wounds: bytes changed, cut out, doubled, moved, or grit put in."""
    data = bytearray(content)
    for _wound in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        upto = min(len(data), at + rng.choice((1, 2, 5, 40)))
        wound = rng.randrange(6)
        if wound == 0:
            data[at:upto] = rng.randbytes(upto - at)
        elif wound == 1:
            del data[at:upto]
        elif wound == 2:
            data[at:at] = data[at:upto] * rng.choice((1, 2, 50))
        elif wound == 3:
            data[at:at] = rng.choice(BYTES)
        elif wound == 4 and data:
            data[at:upto] = data[: upto - at]
        else:
            del data[at:]
    return bytes(data)


def damaged_text(rng: random.Random, text: str) -> str:
    """A text with wounds, also with halves of characters."""
    letters = list(text)
    for _wound in range(rng.choice((1, 2, 5))):
        at = rng.randrange(len(letters) + 1)
        letters[at:at] = [rng.choice((*GRIT, chr(rng.randrange(0x11000)), "\ud800", "\x7f", "../", "/"))]
    return "".join(letters)


def batches(seed: int, number: int) -> Iterator[tuple[random.Random, int]]:
    """The inputs in batches, each with its own source of chance."""
    total = scaled(number)
    for start in range(0, total, BATCH):
        yield random.Random(seed * 1_000_003 + start), min(BATCH, total - start)


def run_and_judge(world: World, files: list[dict[str, Any]], before: dict[str, bytes], **options: Any) -> None:
    """Nothing but our own errors; who failed is untouched; who was written reads back, is settled, and told no secret."""
    run, entries = world.run(files, **options)
    told = json.dumps([entries, render_diff(run.done)]) + repr(run)
    assert CANARY not in told
    for name, entry in entries.items():
        stored = world.store.files.get(name)
        if entry["action"] in ("failed", "unchanged"):
            assert (stored.content if stored else None) == before.get(name), entry
        else:
            assert stored is not None
            codec.load(stored.content)
    written = [file for file in files if entries[file["path"]]["action"] in ("created", "updated")]
    again, _entries = world.run(written, **options)
    assert again.done == (), [entry for entry in _entries.values() if entry["action"] != "unchanged"]


def test_damaged_files() -> None:
    for rng, count in batches(1, 14_000):
        world, files, before = World(), [], {}
        for number in range(count):
            content = damaged(rng, rng.choice(TEXTS))
            files.append(person("anna", path=f"/k/{number}"))
            before[f"/k/{number}"] = content
            world.store.put(f"/k/{number}", content)
        run_and_judge(world, files, before)


def test_damaged_files_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_LOADER", yaml.BaseLoader)
    monkeypatch.setattr(codec, "_DUMPER", yaml.BaseDumper)
    for rng, count in batches(9, 500):
        world, files, before = World(), [], {}
        for number in range(count):
            content = before[f"/k/{number}"] = damaged(rng, rng.choice(TEXTS))
            files.append(person("anna", path=f"/k/{number}"))
            world.store.put(f"/k/{number}", content)
        run_and_judge(world, files, before)
    for content in (b"[" * 5000, b"- " * 5000, b'x: "\\UFFFFFFFF"', b'x: "\\U00110000"'):
        world = World()
        world.store.put("/k/anna.config", content)
        assert world.run([person("anna")])[1]["/k/anna.config"]["action"] == "failed"


def test_damaged_secrets() -> None:
    for rng, count in batches(8, 1_000):
        world, files = World(), []
        world.kube.put("/api/v1/namespaces/k", {"metadata": {}})
        for number in range(count):
            text = base64.b64encode(damaged(rng, rng.choice(TEXTS)))
            data = {"kubeconfig": (damaged(rng, text) if rng.randrange(3) == 0 else text).decode("latin-1")}
            world.kube.put(f"/api/v1/namespaces/k/secrets/s{number}", {"metadata": {}, "data": data})
            wanted = person("anna", secret={"namespace": "k", "name": f"s{number}", "key": "kubeconfig"})
            files.append({key: value for key, value in wanted.items() if key != "path"})
        run, entries = world.run(files)
        assert CANARY not in json.dumps([entries, render_diff(run.done)]) + repr(run)
        written = {path.rpartition("/")[2] for _method, path in world.kube.writes}
        assert written == {name.split("/")[1].split()[0] for name, entry in entries.items() if entry["action"] == "updated"}


def test_damaged_files_that_are_taken_over_renamed_and_cut_down() -> None:
    for rng, count in batches(2, 4_000):
        world, files = World(), []
        for number in range(count):
            world.store.put(f"/s/{number}", damaged(rng, rng.choice(TEXTS)))
            renames = [{"kind": "cluster", "from": "prod", "to": "no"}, {"kind": "user", "from": "anna", "to": "1e3x"}]
            wanted = {"path": f"/k/{number}", "merge_from": [f"/s/{number}", "/s/0"], "rename": renames, "prune": True}
            files.append({**wanted, **rng.choice(({}, {"minify": "anna@prod"}))})
        run_and_judge(world, files, {}, manager="fuzz")


def test_damaged_certificates_and_keys() -> None:
    cert, key = pair_for("anna", NOW, days=90)
    for rng, count in batches(3, 4_000):
        world, files = World(), []
        world.judge_pairs = True
        for number in range(count):
            pems = [cert, key]
            which = rng.randrange(3)
            for index in (0, 1):
                if which in (index, 2):
                    pems[index] = damaged(rng, pems[index])
            world.store.put(f"/p/{number}.crt", pems[0])
            world.store.put(f"/p/{number}.key", pems[1])
            wanted = person("anna", {"client-certificate": f"/p/{number}.crt", "client-key": f"/p/{number}.key"})
            files.append({**wanted, "path": f"/k/{number}"})
        run_and_judge(world, files, {}, embed=True)


def test_damaged_base64_in_a_task_and_in_a_file() -> None:
    cert, key = (base64.b64encode(each) for each in pair_for("anna", NOW, days=90))
    for rng, count in batches(4, 2_000):
        world, files, before = World(), [], {}
        world.judge_pairs = True
        for number in range(count):
            pair = [damaged(rng, each).decode("latin-1") if rng.randrange(2) else each.decode() for each in (cert, key)]
            value = {"client-certificate-data": pair[0], "client-key-data": pair[1]}
            foreign = {"users": [{"name": "theirs", "user": {"client-certificate-data": pair[0]}}]}
            content = before[f"/k/{number}"] = json.dumps(foreign).encode()
            world.store.put(f"/k/{number}", content)
            file = person("anna", value, path=f"/k/{number}")
            if speakable(world, file):
                files.append(file)
        run_and_judge(world, files, before)


def speakable(world: World, file: dict[str, Any], **options: Any) -> bool:
    """Whether the task is not refused as a whole, which is what happens to a bad value; then nothing is written."""
    try:
        world.flow([file], **options)
    except BadInput as error:
        assert error.sentence()
        return False
    return True


def _name(rng: random.Random, file: dict[str, Any]) -> None:
    file[rng.choice(("users", "clusters", "contexts"))][0]["name"] = damaged_text(rng, "anna")


def _path(rng: random.Random, file: dict[str, Any]) -> None:
    file["path"] = damaged_text(rng, file["path"])


def _value(rng: random.Random, file: dict[str, Any]) -> None:
    section = rng.choice(("users", "clusters", "contexts"))
    value = file[section][0][section[:-1]]
    key = rng.choice([*value, "as", "namespace", "x"])
    value[key] = damaged_text(rng, str(value.get(key, "x")))


def _extension(rng: random.Random, file: dict[str, Any]) -> None:
    values = (1.5, 1e300, float("inf"), float("nan"), 10**30, -(10**19), True, {"a": {"b": [None, 2.0]}}, [], "no", "1.5", "\0")
    content = {damaged_text(rng, "k"): rng.choice(values), "v": rng.choice(values)}
    file["users"][0]["user"]["extensions"] = [{"name": damaged_text(rng, "e"), "extension": content}]


def _context(rng: random.Random, file: dict[str, Any]) -> None:
    file[rng.choice(("current_context", "minify"))] = damaged_text(rng, "anna@prod")


@pytest.mark.parametrize("change", [_name, _path, _value, _extension, _context])
def test_damaged_values_of_a_task(change: Callable[[random.Random, dict[str, Any]], None]) -> None:
    for rng, count in batches(len(change.__name__), 1_200):
        world, files = World(), {}
        for number in range(count):
            file = person("anna", {"token": CANARY}, path=f"/k/{number}")
            change(rng, file)
            if speakable(world, file):
                path = "/" + normpath(file["path"]).lstrip("/")
                files[path] = {**file, "path": path}
        apart = [path for path in files if not any(other.startswith(f"{path}/") for other in files)]
        run_and_judge(world, [files[path] for path in apart], {})


@pytest.mark.parametrize("opening", [b"[", b"{a: ", b"- ", b"? "])
@pytest.mark.parametrize("depth", [50, 99, 101, 900, 100_000])
def test_deep_files_are_refused_in_words(opening: bytes, depth: int) -> None:
    world = World()
    world.store.put("/k/anna.config", b"x: " + opening * depth if opening != b"- " else opening * depth + b"x")
    _run, entries = world.run([person("anna")])
    assert entries["/k/anna.config"]["action"] == "failed"


def test_shared_values_within_each_other_take_no_time() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 90)]
    world = World()
    world.store.put("/k/anna.config", "\n".join(lines).encode())
    for action in ("updated", "unchanged"):
        _run, entries = world.run([person("anna")])
        assert entries["/k/anna.config"]["action"] == action, entries


def test_our_errors_are_all_there_is() -> None:
    with pytest.raises(CollError):
        codec.load(b"users: [")
