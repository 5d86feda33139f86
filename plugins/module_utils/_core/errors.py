# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error tree. Only ``_ansible/shell.py`` turns one into the end of a process.

A message is one sentence that names the entry it is about; ``hint`` says what to do next;
``facts`` are public values for the result (never a secret).
"""

from __future__ import annotations

import traceback


class CollError(Exception):
    """Base of all errors this collection raises on purpose."""

    code = "failed"

    def __init__(self, message: str, *, hint: str = "", **facts: object) -> None:
        super().__init__(message)
        self.hint = hint
        self.facts = facts

    def sentence(self) -> str:
        """The message and its hint, as one line for a person."""
        return f"{self} {self.hint}".strip()

    def as_dict(self) -> dict[str, object]:
        """The error as it appears in a result."""
        return {"code": self.code, "msg": str(self), "hint": self.hint, **self.facts}


class BadInput(CollError):
    """The task's own values are wrong; nothing was written."""

    code = "bad_input"


class Refused(CollError):
    """A safety rule said no."""

    code = "refused"


class Conflict(CollError):
    """The world is in a state that is neither the wanted nor the seen one."""

    code = "conflict"


class BackendFailed(CollError):
    """A server or a command failed, or could not be reached."""

    code = "backend_failed"

    @property
    def is_passing(self) -> bool:
        """Whether a server that starts or is busy answers so: not at all (status 0), with 429, or with 5xx."""
        status = self.facts.get("status")
        return isinstance(status, int) and (status in (0, 429) or status >= 500)


class Denied(BackendFailed):
    """The server knows who asks and says no."""

    code = "denied"


class Bug(CollError):
    """An exception that nobody raised on purpose."""

    code = "bug"

    @classmethod
    def from_exception(cls, exc: Exception) -> Bug:
        """Says where it happened, without the values that a traceback may show."""
        where = traceback.extract_tb(exc.__traceback__)[-1]
        place = f"{where.filename.rsplit('/', 1)[-1]}:{where.lineno}"
        return cls(f"This is a bug in kubestead.platform: {type(exc).__name__} at {place}.", hint="Please report it.")
