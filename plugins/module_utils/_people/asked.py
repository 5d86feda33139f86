# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the list of people says about access at a moment, for comparison with what there is then."""

from __future__ import annotations

from .._core.access import EVERYWHERE, Asked, Listed
from .._core.window import rfc3339
from .lists import people_at, people_grants
from .person import people_from


def said(raw: object, now: int) -> tuple[tuple[Listed, ...], tuple[Asked, ...]]:
    """The people, those outside of their time as disabled, and the rights that they are given now; raises BadInput."""
    present = people_at(raw, rfc3339(now))
    people = tuple(Listed(one.name, one.full_name, one.state, one.groups) for one in people_from(present))
    rights = tuple(
        Asked(name, grant["cluster_role"], namespace)
        for grant in people_grants(present)
        if grant["state"] == "present"
        for name in grant["subjects"]["users"]
        for namespace in grant.get("namespaces") or (EVERYWHERE,)
    )
    return people, rights
