# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every Directory must do. The suite runs on the in-memory fake and on a real slapd, so the fake cannot lie."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, CollError, Conflict
from ansible_collections.kubestead.platform.plugins.module_utils._directory import dn
from ansible_collections.kubestead.platform.plugins.module_utils._directory.accounts import is_disabled, lock
from ansible_collections.kubestead.platform.plugins.module_utils._directory.model import (
    Add,
    Change,
    Delete,
    Modify,
    Op,
    SetPassword,
)
from ansible_collections.kubestead.platform.plugins.module_utils._flows.ldap_account import Directory


def person(where: str, **attributes: tuple[str, ...]) -> Add:
    uid = dn.first_value(where)
    return Add(where, {"objectClass": ("inetOrgPerson",), "uid": (uid,), "cn": (uid,), "sn": (uid,), **attributes})


def write(directory: Directory, *ops: Op, stop_on_error: bool = False) -> list[Optional[CollError]]:
    results = dict(directory.apply(list(ops), stop_on_error=stop_on_error))
    return [results[index] for index in sorted(results)]


class DirectoryContract:
    """Subclasses give the fixtures ``directory`` and ``base``, the DN of an existing entry that tests may write below."""

    @pytest.fixture
    def mark(self) -> str:
        return f"c{uuid.uuid4().hex[:8]}"

    def names(self, directory: Directory, base: str, filter_: str) -> list[str]:
        return sorted(entry.values_of("uid")[0] for entry in directory.search(base, filter_, ("uid",)))

    def test_what_is_added_is_found_with_lower_case_attribute_names(self, directory: Directory, base: str, mark: str) -> None:
        where = dn.child("uid", mark, base)
        assert write(directory, person(where, mail=(f"{mark}@example.org",))) == [None]
        (entry,) = directory.search(base, dn.equals("uid", mark), ("uid", "mail", "displayName"))
        assert dn.normal(entry.dn) == dn.normal(where)
        assert entry.attributes == {"uid": (mark,), "mail": (f"{mark}@example.org",)}
        assert directory.search(where, "(objectClass=*)", ("uid",), below=False)[0].values_of("UID") == (mark,)

    def test_many_are_written_and_all_are_found(self, directory: Directory, base: str, mark: str) -> None:
        ops = [person(dn.child("uid", f"{mark}-{n}", base), employeeType=(mark,)) for n in range(1100)]
        assert write(directory, *ops) == [None] * 1100
        assert len(directory.search(base, dn.equals("employeeType", mark), ("uid",))) == 1100
        assert write(directory, *(Delete(op.dn) for op in ops)) == [None] * 1100
        assert directory.search(base, dn.equals("employeeType", mark), ("uid",)) == ()

    @pytest.mark.parametrize("name", ["a,b=c", "#x", " y ", 'ü+"<>;', "*()\\", "quo\\2cte"])
    def test_names_with_special_characters_are_only_names(self, directory: Directory, base: str, mark: str, name: str) -> None:
        uid = f"{name}{mark}{name}"
        assert write(directory, person(dn.child("uid", uid, base)), person(dn.child("uid", f"x{mark}", base))) == [None, None]
        (entry,) = directory.search(base, dn.equals("uid", uid.strip()), ("uid",))
        assert dn.normal(entry.dn) == dn.normal(dn.child("uid", uid, base))
        assert write(directory, Delete(dn.child("uid", uid, base))) == [None]

    def test_a_refusal_names_entry_code_and_word_and_the_others_are_written(
        self, directory: Directory, base: str, mark: str
    ) -> None:
        bad = person(dn.child("uid", f"{mark}-bad", base), mail=("jürgen@exämple.org",))
        good = person(dn.child("uid", f"{mark}-good", base))
        refused, none = write(directory, bad, good)
        assert none is None and refused is not None
        assert bad.dn in str(refused) and refused.hint
        assert refused.facts["ldap_code"] == 21 and refused.facts["ldap_result"] == "invalidAttributeSyntax"
        assert self.names(directory, base, f"(|(uid={mark}-bad)(uid={mark}-good))") == [f"{mark}-good"]

    def test_with_stop_nothing_new_is_sent_after_an_error(self, directory: Directory, base: str, mark: str) -> None:
        ops: Sequence[Op] = [person(dn.child("uid", f"{mark}-{n}", f"ou=nowhere,{base}")) for n in range(400)]
        results = write(directory, *ops, stop_on_error=True)
        assert 1 <= len(results) < 400
        assert all(error is not None and error.facts["ldap_result"] == "noSuchObject" for error in results)

    def test_adding_twice_is_a_conflict(self, directory: Directory, base: str, mark: str) -> None:
        op = person(dn.child("uid", mark, base))
        first, second = (write(directory, op)[0] for _time in range(2))
        assert first is None and isinstance(second, Conflict) and second.facts["ldap_result"] == "entryAlreadyExists"

    def test_a_value_can_be_swapped_only_by_who_knows_the_old_one(self, directory: Directory, base: str, mark: str) -> None:
        where = dn.child("uid", mark, base)
        write(directory, person(where, employeeNumber=("1",)))

        def swap(old: str, new: str) -> Modify:
            return Modify(where, (Change("delete", "employeeNumber", (old,)), Change("add", "employeeNumber", (new,))))

        won, lost = write(directory, swap("1", "2"))[0], write(directory, swap("1", "3"))[0]
        assert won is None and isinstance(lost, Conflict) and lost.facts["ldap_result"] == "noSuchAttribute"
        assert directory.search(base, dn.equals("uid", mark), ("employeeNumber",))[0].values_of("employeeNumber") == ("2",)

    def test_replacing_by_nothing_removes_an_attribute(self, directory: Directory, base: str, mark: str) -> None:
        where = dn.child("uid", mark, base)
        write(directory, person(where, title=("boss",)))
        changes = (Change("replace", "title", ()), Change("replace", "description", ()))
        assert write(directory, Modify(where, changes)) == [None]
        assert directory.search(base, dn.equals("uid", mark), ("title",))[0].attributes == {}

    def test_a_group_of_names_is_never_empty(self, directory: Directory, base: str, mark: str) -> None:
        group = dn.child("cn", mark, base)
        assert write(directory, Add(group, {"objectClass": ("groupOfNames",), "cn": (mark,), "member": (base,)})) == [None]
        (error,) = write(directory, Modify(group, (Change("delete", "member", (base,)),)))
        assert error is not None and error.facts["ldap_result"] == "objectClassViolation"

    def test_a_password_is_kept_hashed_and_ends_a_lock(self, directory: Directory, base: str, mark: str) -> None:
        where = dn.child("uid", mark, base)
        write(directory, person(where))
        read = ("userPassword", "pwdChangedTime", "pwdAccountLockedTime")
        assert directory.search(base, dn.equals("uid", mark), read)[0].attributes == {}
        assert write(directory, Modify(where, lock(True))) == [None]
        assert is_disabled(directory.search(base, dn.equals("uid", mark), read)[0])
        assert write(directory, SetPassword(where, f"secret-{mark}")) == [None]
        (entry,) = directory.search(base, dn.equals("uid", mark), read)
        assert entry.values_of("pwdChangedTime") and not is_disabled(entry)
        assert all(value.startswith("{") and mark not in value for value in entry.values_of("userPassword"))
        assert write(directory, Modify(where, lock(True)), SetPassword(where + "x", "y"))[0] is None

    def test_a_base_that_does_not_exist_is_an_error(self, directory: Directory, base: str) -> None:
        with pytest.raises(BackendFailed) as caught:
            directory.search(f"ou=nowhere,{base}", "(objectClass=*)", ("uid",))
        assert f"ou=nowhere,{base} does not exist" in str(caught.value)

    def test_the_root_names_suffix_and_controls(self, directory: Directory, base: str) -> None:
        (root,) = directory.search("", "(objectClass=*)", ("namingContexts", "supportedControl"), below=False)
        assert any(dn.within(base, suffix) for suffix in root.values_of("namingContexts"))
        assert root.values_of("supportedControl")

    def test_it_knows_who_we_are(self, directory: Directory) -> None:
        assert dn.is_dn(directory.identity())
