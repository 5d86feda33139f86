# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the list of people says about access at a moment, for comparison with what there is then."""

from __future__ import annotations

from .._core.access import EVERYWHERE, Asked, Listed
from .._core.window import rfc3339
from .lists import people_at, people_grants
from .person import people_from


def listed(raw: object, now: int) -> tuple[Listed, ...]:
    """The people of the list, those outside of their time as disabled; raises BadInput."""
    people = people_from(people_at(raw, rfc3339(now)))
    return tuple(Listed(one.name, one.full_name, one.state, one.groups) for one in people)


def asked(raw: object, now: int) -> tuple[Asked, ...]:
    """The rights that the list gives now."""
    return tuple(
        Asked(name, grant["cluster_role"], namespace)
        for grant in people_grants(people_at(raw, rfc3339(now)))
        if grant["state"] == "present"
        for name in grant["subjects"]["users"]
        for namespace in grant.get("namespaces") or (EVERYWHERE,)
    )
