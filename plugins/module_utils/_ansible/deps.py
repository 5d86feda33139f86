# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python libraries a module cannot work without.

Adapters import their library under ``try``; a module's ``wire`` calls ``need`` first, so that a missing library becomes
one sentence that names the interpreter instead of a traceback.
"""

from __future__ import annotations

from importlib import import_module

from ansible.module_utils.basic import missing_required_lib

from .._core.errors import BackendFailed

_PACKAGES = {
    "cryptography": "cryptography >= 3.4",
    "kubernetes": "kubernetes >= 24.2",
    "ldap3": "ldap3 >= 2.9",
    "urllib3": "kubernetes >= 24.2",  # its HTTP part, which is all that most tasks need of it
    "yaml": "PyYAML >= 5.4",
}


def need(*libraries: str) -> None:
    """Raises BackendFailed for the first of ``libraries`` (import names) that cannot be imported."""
    for library in libraries:
        try:
            import_module(library)
        except ImportError as exc:
            message = str(missing_required_lib(_PACKAGES[library]))
            raise BackendFailed(message, library=_PACKAGES[library]) from exc
