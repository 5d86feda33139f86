# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes as LDAP messages (RFC 4511, RFC 3062): what is needed to send many of them before the first answer.

ldap3 sends a message and waits for its answer, or hands answers to a thread that can't report a failed StartTLS; and its
way to the bytes takes longer than the server's work.
"""

from __future__ import annotations

from collections.abc import Iterable

from .model import Add, Delete, Modify, Op, Rename, SetPassword

_HOW = {"add": 0, "delete": 1, "replace": 2}
_MODIFY_PASSWORD = b"1.3.6.1.4.1.4203.1.11.1"
_INTEGER, _OCTETS, _ENUMERATED, _SEQUENCE, _SET = 0x02, 0x04, 0x0A, 0x30, 0x31
_MODIFY, _ADD, _DELETE, _RENAME, _EXTENDED, _CONTROLS = 0x66, 0x68, 0x4A, 0x6C, 0x77, 0xA0
_BOOLEAN, _NEW_PARENT = 0x01, 0x80
_REQUEST_NAME, _REQUEST_VALUE = 0x80, 0x81
_USER, _NEW_PASSWORD = 0x80, 0x82


def message(number: int, op: Op) -> bytes:
    """The message with this number (from 0 to 2147483647) that asks for one write.

    With a password the server is also asked to say why its policy refuses it; who does not know the question ignores it.
    """
    asked = (_PASSWORD_POLICY_QUESTION,) if _sets_password(op) else ()
    return _tlv(_SEQUENCE, _tlv(_INTEGER, _digits(number)), _request(op), *asked)


def policy_error(value: bytes) -> str:
    """The reason in a password policy's answer (the value of its control); empty when it gives none."""
    position = value.rfind(b"\x81\x01")
    return PASSWORD_ERRORS.get(value[position + 2], "") if 0 <= position < len(value) - 2 else ""


def _sets_password(op: Op) -> bool:
    if isinstance(op, SetPassword):
        return True
    return isinstance(op, Modify) and any(change.attribute == "userPassword" for change in op.changes)


def _request(op: Op) -> bytes:
    if isinstance(op, Add):
        attributes = (_attribute(name, values) for name, values in op.attributes.items())
        return _tlv(_ADD, _text(op.dn), _tlv(_SEQUENCE, *attributes))
    if isinstance(op, Modify):
        changes = (
            _tlv(_SEQUENCE, _tlv(_ENUMERATED, bytes([_HOW[change.how]])), _attribute(change.attribute, change.values))
            for change in op.changes
        )
        return _tlv(_MODIFY, _text(op.dn), _tlv(_SEQUENCE, *changes))
    if isinstance(op, Delete):
        return _tlv(_DELETE, op.dn.encode("utf-8", "surrogateescape"))
    if isinstance(op, Rename):
        above = (_text(op.parent, _NEW_PARENT),) if op.parent else ()
        return _tlv(_RENAME, _text(op.dn), _text(op.rdn), _tlv(_BOOLEAN, b"\xff"), *above)
    value = _tlv(_SEQUENCE, _text(op.dn, _USER), _text(op.password, _NEW_PASSWORD))
    return _tlv(_EXTENDED, _tlv(_REQUEST_NAME, _MODIFY_PASSWORD), _tlv(_REQUEST_VALUE, value))


def _attribute(name: str, values: Iterable[str]) -> bytes:
    return _tlv(_SEQUENCE, _text(name), _tlv(_SET, *(_text(value) for value in values)))


def _text(text: str, tag: int = _OCTETS) -> bytes:
    # Values that are no text came in with the same escape.
    return _tlv(tag, text.encode("utf-8", "surrogateescape"))


def _digits(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    length = len(body)
    if length < 0x80:
        return bytes((tag, length)) + body
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(digits))) + digits + body


PASSWORD_POLICY = "1.3.6.1.4.1.42.2.27.8.5.1"
PASSWORD_ERRORS = {
    0: "passwordExpired",
    1: "accountLocked",
    2: "changeAfterReset",
    3: "passwordModNotAllowed",
    4: "mustSupplyOldPassword",
    5: "insufficientPasswordQuality",
    6: "passwordTooShort",
    7: "passwordTooYoung",
    8: "passwordInHistory",
}
_PASSWORD_POLICY_QUESTION = _tlv(_CONTROLS, _tlv(_SEQUENCE, _text(PASSWORD_POLICY)))
