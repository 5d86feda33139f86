# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the list of people says about access, for comparison with what there is."""

from __future__ import annotations

from .._core.access import EVERYWHERE, Asked, Listed
from .lists import people_grants
from .person import people_from


def listed(raw: object) -> tuple[Listed, ...]:
    """The people of the list; raises BadInput."""
    return tuple(Listed(one.name, one.full_name, one.state, one.groups) for one in people_from(raw))


def asked(raw: object) -> tuple[Asked, ...]:
    """The rights that the list gives."""
    return tuple(
        Asked(name, grant["cluster_role"], namespace)
        for grant in people_grants(raw)
        if grant["state"] == "present"
        for name in grant["subjects"]["users"]
        for namespace in grant.get("namespaces") or (EVERYWHERE,)
    )
