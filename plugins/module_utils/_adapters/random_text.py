# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Randomness for new passwords."""

from __future__ import annotations

import secrets
import string

# Without characters that are easily taken for others, or that shells and forms treat specially.
_KINDS = ("abcdefghijkmnpqrstuvwxyz", "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789", "-_.+=")
_LENGTH = 20


def new_password() -> str:
    """Twenty characters of all four kinds that password policies ask for (about 116 bits)."""
    alphabet = "".join(_KINDS)
    while True:
        text = "".join(secrets.choice(alphabet) for _place in range(_LENGTH))
        if all(any(char in kind for char in text) for kind in _KINDS) and text[0] in string.ascii_letters:
            return text
