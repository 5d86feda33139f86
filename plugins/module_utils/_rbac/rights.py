# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the caller must be allowed to do for a plan, and how it is said when a right is missing.

Kubernetes lets nobody grant more than they hold: to bind a role takes the verb ``bind`` on it, or all that it allows; to
write a role takes ``escalate``, or all that it allows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .._core.errors import Denied
from . import objects
from .draft import Decision, Draft, Write, grant_of
from .grants import WHOLE_CLUSTER
from .permissions import RBAC_GROUP, Atom, Permissions, rules_of

_VERBS = {"POST": ("create",), "PUT": ("update",), "DELETE": ("delete",), "RECREATE": ("delete", "create")}


@dataclass(frozen=True)
class Need:
    """A right in a place. ``instead``: whoever holds these may do without it."""

    atom: Atom
    namespace: str
    instead: Optional[frozenset[Atom]] = None

    def widest(self) -> Atom:
        """The same right on everything of that kind, which most callers of this module hold."""
        return self.atom._replace(name="")


def needs_of(decision: Decision, draft: Draft) -> dict[str, tuple[Need, ...]]:
    """By the entry of each grant that is written or removed: the rights it takes."""
    by_path = {write.object_path(): write for write in decision.writes.values()}
    found: dict[str, tuple[Need, ...]] = {}
    for step in decision.plan.steps:
        if not step.entry.startswith("grant/"):
            continue
        write = decision.writes[step.target]
        parts = [write, by_path.get(write.needs), by_path.get(f"{objects.NAMESPACES}/{_namespace(write)}")]
        if write.method == "DELETE":
            parts = parts[:1]
        needs = (need for part in parts if part is not None for need in _needs(part, by_path.get(part.needs), draft))
        found[step.entry] = tuple(dict.fromkeys(needs))
    return found


def _namespace(write: Write) -> str:
    path = write.object_path()
    return path.split("/namespaces/")[1].split("/")[0] if path.startswith(objects.RBAC) and "/namespaces/" in path else ""


def _needs(write: Write, own_role: Optional[Write], draft: Draft) -> Iterable[Need]:
    _root, kind, name = write.object_path().rsplit("/", 2)
    namespace = _namespace(write)
    group = "" if kind == "namespaces" else RBAC_GROUP
    for verb in _VERBS[write.method]:
        yield Need(Atom(verb, group, kind, "" if verb == "create" else name), namespace)
    if write.method == "DELETE" or write.wanted is None:
        return
    if kind.endswith("bindings"):
        role = grant_of(write.wanted).role
        if own_role is not None and own_role.wanted is not None:
            allowed = Permissions.of(own_role.wanted["rules"])
        else:
            allowed = draft.allowed(role, namespace if role.kind == "Role" else WHOLE_CLUSTER) or Permissions(())
        yield Need(Atom("bind", RBAC_GROUP, f"{role.kind.lower()}s", role.name), namespace, allowed.atoms)
    elif kind.endswith("roles"):
        yield Need(Atom("escalate", RBAC_GROUP, kind, name), namespace, Permissions.of(write.wanted["rules"]).atoms)


def refusal(need: Need, lacking: Sequence[Atom]) -> Denied:
    """The error for a right the caller does not hold, with the rule that grants it, ready to be pasted."""
    where = f"namespace {need.namespace!r}" if need.namespace else "the whole cluster"
    rule = _rule(need)
    hint = f"Give the caller this rule there: {json.dumps(rule)}"
    if need.instead is None:
        return Denied(f"The caller may not {need.atom.words()} in {where}.", hint=f"{hint}.", missing=rule)
    more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
    words = ", ".join(f"'{atom.words()}'" for atom in lacking[:3])
    return Denied(
        f"Nobody can grant more than they hold: in {where} the caller may neither {need.atom.words()} nor {words}{more}.",
        hint=f"{hint}, or the rules it lacks.",
        missing=rule,
        lacking=rules_of(lacking),
    )


def _rule(need: Need) -> Mapping[str, Any]:
    atom = need.atom
    rule: dict[str, Any] = {"apiGroups": [atom.group], "resources": [atom.resource], "verbs": [atom.verb]}
    return {**rule, "resourceNames": [atom.name]} if need.instead is not None else rule
