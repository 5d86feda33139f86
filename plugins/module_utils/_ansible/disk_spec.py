# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disks of a node as options, the same for every module that takes them."""

from __future__ import annotations

from typing import Any

CRITERIA: dict[str, dict[str, Any]] = {
    "serial": {"type": "str"},
    "wwn": {"type": "str"},
    "model": {"type": "str"},
    "min_size": {"type": "str"},
    "max_size": {"type": "str"},
    "rotational": {"type": "bool"},
}
NAMED_SIZE: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "size": {"type": "str", "required": True},
}
DISK: dict[str, dict[str, Any]] = {
    "id": {"type": "str", "required": True},
    "device": {"type": "path"},
    "match": {"type": "dict", "options": CRITERIA},
    "expect": {"type": "dict", "options": CRITERIA},
    "layout": {"type": "str", "choices": ["raw", "partitions", "volumes"], "default": "volumes"},
    "partitions": {"type": "list", "elements": "dict", "options": NAMED_SIZE},
    "device_class": {"type": "str"},
    "discard": {"type": "bool", "default": False},
}
