# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task may ask for."""

from __future__ import annotations

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._certs.wanted import RenewBefore, optional_text
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BadInput
from hypothesis import given
from hypothesis import strategies as st

from .conftest import wanted


def test_an_entry_overrides_the_defaults_of_the_task() -> None:
    task = wanted({"name": "anna", "groups": ["b", "a"], "lifetime": "7d"}, {"name": "bert", "state": "absent"}, lifetime="1d")
    anna, bert = task.people
    assert (anna.groups, anna.lifetime, anna.present) == (("a", "b"), 7 * 86400, True)
    assert (bert.groups, bert.lifetime, bert.present) == ((), 86400, False)


@pytest.mark.parametrize(
    ("users", "changes", "said"),
    [
        (["system:admin"], {}, "system:"),
        (["\uff33ystem:admin"], {}, "system:"),
        (["Anna"], {}, "not an allowed name"),
        (["anna/../root"], {}, "not an allowed name"),
        (["a" * 65], {}, "not an allowed name"),
        ([""], {}, "not an allowed name"),
        (["anna", "anna"], {}, "named twice"),
        ([{"name": "anna", "groups": ["system:masters"]}], {}, "user 'anna': group 'system:masters'"),
        ([{"name": "anna", "groups": ["dev", "dev"]}], {}, "named twice"),
        ([{"name": "anna", "lifetime": "599"}], {}, "user 'anna': lifetime"),
        ([{"name": "anna", "lifetime": "100000w"}], {}, "user 'anna': lifetime"),
        ([{"name": "anna", "lifetime": "soon"}], {}, "not a duration"),
        (["anna"], {"renew_before": "30d"}, "every run would renew"),
        (["anna"], {"renew_before": "0"}, "renew_before"),
        (["anna"], {"renew_before": "0%"}, "percentage"),
        (["anna"], {"signer": "nobody"}, "signer"),
        (["anna"], {"wait_timeout": "0"}, "wait_timeout"),
    ],
)
def test_bad_input_names_the_entry(users: list[object], changes: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        wanted(*users, **changes)


def test_somebody_who_goes_may_have_any_lifetime() -> None:
    assert not wanted({"name": "anna", "state": "absent", "lifetime": "1h"}, renew_before="2h").people[0].present


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_the_margin_leaves_at_least_half_of_the_life(seconds: int, life: int) -> None:
    assert 0 <= RenewBefore(seconds=seconds).margin(life) <= life / 2


@given(st.text(max_size=2000))
def test_a_foreign_text_is_one_short_line(text: str) -> None:
    shown = optional_text(text)
    assert len(shown) <= 300 and "\n" not in shown
