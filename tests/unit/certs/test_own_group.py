# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A group that only one person's certificates carry: kept by renewals and continued runs, another one when asked for."""

from __future__ import annotations

import re

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._certs.own_group import own_group_of
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput

from fakes.kube_api import forbid

from .conftest import World

KEEP, NEW = {"name": "anna", "own_group": "keep"}, {"name": "anna", "own_group": "new"}


def group_of(world: World) -> str:
    (group,) = world.ledger()[-1]["groups"]
    return str(group)


def test_it_is_the_name_and_128_random_bits_and_the_only_group(world: World) -> None:
    done = world.run(KEEP)
    assert re.fullmatch(r"anna\.[0-9a-f]{32}", group_of(world))
    assert done["anna"].facts["groups"] == [group_of(world)]
    other = World(world.folder / "other")
    other.run(KEEP)
    assert group_of(other) != group_of(world)


def test_renewals_keep_it(world: World) -> None:
    world.run(KEEP)
    first = group_of(world)
    assert not world.run(KEEP).changed
    assert world.run(KEEP, key_policy="always")["anna"].action == "updated" and group_of(world) == first


def test_another_one_is_another_certificate(world: World) -> None:
    world.run(KEEP)
    first = group_of(world)
    assert world.run(NEW).action("anna") == ("updated", "groups changed")
    assert group_of(world) != first
    second = group_of(world)
    assert not world.run(KEEP).changed and group_of(world) == second


@pytest.mark.parametrize("asked", [KEEP, NEW])
def test_a_run_that_did_not_finish_is_continued_with_its_group(world: World, asked: dict[str, str]) -> None:
    if asked is NEW:
        world.run(KEEP)
    hook = forbid("PUT", "/approval")
    world.api.on_write.append(hook)
    assert world.run(asked, on_error="continue")["anna"].error is not None
    world.api.on_write.remove(hook)
    done = world.run(asked)
    assert "continuing an earlier run" in done["anna"].reason
    assert done["anna"].facts["groups"] == [group_of(world)]


def test_groups_of_the_list_exclude_it(world: World) -> None:
    with pytest.raises(BadInput, match="own_group excludes groups and csr"):
        world.run({**KEEP, "groups": ["team-red"]})


def test_long_names_leave_room_for_it_and_look_alikes_do_not_count(world: World) -> None:
    name = "a" * 64
    world.run({"name": name, "own_group": "keep"})
    assert len(group_of(world)) == 64 and own_group_of(name, [group_of(world)])
    assert own_group_of("anna", ["anna." + "0" * 31]) == "" and own_group_of("anna", ["bert." + "0" * 32]) == ""
    assert own_group_of("anna", ["anna." + "0" * 32, "team"]) == ""
