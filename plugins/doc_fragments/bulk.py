# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that take a list; mirrors BULK_SPEC and STATE_SPEC in module_utils/_ansible/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  concurrency:
    description:
      - How many entries are written at the same time, at least V(1).
      - Reading is one bulk request per kind and is not affected.
    type: int
    default: 8
  on_error:
    description:
      - What happens when a single entry is refused or fails.
      - V(stop) starts no further entry. What was already applied is reported, and the task fails.
      - V(continue) still handles all other entries, then the task fails once and names every entry that failed.
      - Mistakes in the task itself (unknown keys, duplicates, forbidden names) always end it before anything is written.
    type: str
    choices:
      - stop
      - continue
    default: stop
"""

    STATE = r"""
options:
  state:
    description:
      - Whether the entries are to exist (V(present)) or to be removed (V(absent)).
      - An entry with a C(state) of its own overrides this option.
    type: str
    choices:
      - present
      - absent
    default: present
"""
