# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mapping ``config`` of a cluster's storage, a node or a device: known settings and the values Rook understands.

Rook ignores an unknown setting and takes a number it cannot read for 0, without a word. So each is an error here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Callable

from .._core.errors import BadInput
from .devices import DISK, PARTITION, VOLUME, check_path, kind_of

# Rook ignores a smaller database.
LEAST_DATABASE_MB = 1024
_HINTS = {
    "walDevice": "Rook on hosts has no device for the write-ahead log: give a metadataDevice, and walSizeMB if need be.",
    "dbDevice": "It is called metadataDevice.",
    "journalSizeMB": "It belonged to FileStore, which is gone.",
    "storeType": "The backend is BlueStore; there is nothing to choose.",
}


def _whole(least: int) -> Callable[[str], bool]:
    return lambda text: bool(re.fullmatch(r"\d{1,9}", text, re.ASCII)) and int(text) >= least


def _decimal(most: float) -> Callable[[str], bool]:
    return lambda text: bool(re.fullmatch(r"\d{1,6}(?:\.\d{1,6})?", text, re.ASCII)) and float(text) <= most


def _word(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", text, re.ASCII))


# Setting: whether a text is a value of it, and what a value looks like.
RULES: dict[str, tuple[Callable[[str], bool], str]] = {
    "databaseSizeMB": (_whole(LEAST_DATABASE_MB), f"a number from {LEAST_DATABASE_MB}; Rook ignores a smaller one"),
    "deviceClass": (_word, "a word such as hdd, ssd or nvme"),
    "encryptedDevice": (lambda text: text in ("true", "false"), "true or false in quotes"),
    "initialWeight": (_decimal(999_999), "a number such as 1.5"),
    "metadataDevice": (lambda text: bool(text.strip()), "the path of a device"),
    "osdsPerDevice": (_whole(1), "a number from 1"),
    "primaryAffinity": (_decimal(1.0), "a number from 0 to 1"),
    "walSizeMB": (_whole(1), "a number from 1"),
}
_CLUSTER_RULES: dict[str, tuple[Callable[[str], bool], str]] = {"crushRoot": (_word, "the name of a root of the CRUSH map")}


def check_settings(config: object, owner: str, *, whole_cluster: bool = False) -> dict[str, str]:
    """The settings sorted by name; raises BadInput. ``crushRoot`` is only read from the whole cluster's."""
    rules = {**RULES, **_CLUSTER_RULES} if whole_cluster else RULES
    if not isinstance(config, Mapping):
        raise BadInput(f"The config of {owner} is not a mapping.", hint="Write it as {setting: 'value'}.")
    checked = {}
    for setting in sorted(config, key=str):
        if setting in _CLUSTER_RULES and not whole_cluster:
            raise BadInput(
                f"Setting {setting!r} of {owner} is ignored by Rook there.", hint="Put it in rook_cluster_storage_config."
            )
        if setting not in rules:
            known = f"Known are {', '.join(sorted(rules))}."
            raise BadInput(
                f"Setting {setting!r} of {owner} is not known to Rook, which would ignore it.",
                hint=_HINTS.get(str(setting), known),
            )
        checked[str(setting)] = _checked(setting, config[setting], owner, rules)
    return checked


def _checked(setting: str, value: object, owner: str, rules: Mapping[str, Any]) -> str:
    valid, looks = rules[setting]
    if not isinstance(value, str):
        raise BadInput(
            f"Setting {setting!r} of {owner} is not text but {type(value).__name__}.", hint="Rook takes strings only: quote it."
        )
    if not valid(value):
        raise BadInput(f"Setting {setting!r} of {owner} is {value!r}.", hint=f"It takes {looks}.")
    return value


def check_device(path: str, config: Mapping[str, str], owner: str) -> None:
    """Raises BadInput for settings that do not go with the kind of device. ``config`` is the node's with the device's."""
    kind = kind_of(path)
    if config.get("encryptedDevice") == "true" and kind != DISK:
        raise BadInput(
            f"{owner} is a {kind}, and Rook does not take encryptedDevice on it.",
            hint="Encryption at rest wants the whole disk: carve it with the layout raw.",
        )
    if int(config.get("osdsPerDevice", "1")) > 1 and kind != DISK:
        raise BadInput(
            f"{owner} is a {kind}, and Rook does not take osdsPerDevice above 1 on it.",
            hint="Make as many volumes as OSDs are wanted.",
        )
    metadata = config.get("metadataDevice")
    if metadata == path:
        raise BadInput(f"{owner} is its own metadataDevice.", hint="Name another, faster device, or none.")
    if kind == PARTITION and metadata:
        raise BadInput(f"{owner} is a partition and cannot have a metadataDevice.", hint="Use a disk or a volume for the data.")


def check_metadata(path: str, owner: str, *, per_node: bool) -> str:
    """The kind of a metadata device; raises BadInput where Rook would not take it."""
    if path.startswith("/"):
        check_path(path, f"metadataDevice of {owner}")
    elif "/" in path:
        raise BadInput(f"metadataDevice of {owner} is {path!r}.", hint="Name a volume /dev/GROUP/VOLUME.")
    kind = kind_of(path) if path.startswith("/") else DISK
    if per_node and kind in (VOLUME, PARTITION):
        raise BadInput(
            f"metadataDevice of {owner} is a {kind}, which serves one data device only.",
            hint="Set it at the device it belongs to, not at the node.",
        )
    return kind
