# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every Directory must do. The suite runs on the in-memory fake, on slapd and on 389 Directory Server: no fake can lie."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import BackendFailed, CollError, Conflict
from ansible_collections.kubestead.platform.plugins.module_utils._directory import dn
from ansible_collections.kubestead.platform.plugins.module_utils._directory.accounts import has_password, is_disabled, lock
from ansible_collections.kubestead.platform.plugins.module_utils._directory.model import (
    Add,
    Change,
    Delete,
    Entry,
    Modify,
    Op,
    Rename,
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
    """Subclasses give the fixtures ``directory`` and ``base``, the DN of an existing entry that tests may write below.

    ``means`` is the server's way to lock an account, ``needs_members`` whether its groups of names always have one,
    ``tells_rights`` whether it answers what we may read.
    """

    means = "ppolicy"
    needs_members = True
    tells_rights = False

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

    def test_a_group_of_names_is_empty_only_where_the_schema_says_so(self, directory: Directory, base: str, mark: str) -> None:
        group = dn.child("cn", mark, base)
        assert write(directory, Add(group, {"objectClass": ("groupOfNames",), "cn": (mark,), "member": (base,)})) == [None]
        (error,) = write(directory, Modify(group, (Change("delete", "member", (base,)),)))
        if self.needs_members:
            assert error is not None and error.facts["ldap_result"] == "objectClassViolation"
        else:
            assert error is None

    def test_a_password_is_kept_hashed_and_a_lock_is_set_and_ended(self, directory: Directory, base: str, mark: str) -> None:
        where = dn.child("uid", mark, base)
        write(directory, person(where))

        def read() -> Entry:
            attributes = ("userPassword", "pwdChangedTime", "pwdAccountLockedTime", "nsAccountLock")
            return directory.search(base, dn.equals("uid", mark), attributes)[0]

        assert read().attributes == {}
        assert write(directory, Modify(where, lock(True, self.means))) == [None]
        assert is_disabled(read(), self.means)
        assert write(directory, SetPassword(where, "Quite unguessable 7")) == [None]
        assert has_password(read()) and is_disabled(read(), self.means) == (self.means != "ppolicy")
        assert all(value.startswith("{") and "unguessable" not in value for value in read().values_of("userPassword"))
        assert write(directory, Modify(where, lock(True, self.means))) == [None] and is_disabled(read(), self.means)
        assert write(directory, Modify(where, lock(False, self.means))) == [None] and not is_disabled(read(), self.means)

    def test_bytes_that_are_no_text_come_back_as_they_were(self, directory: Directory, base: str, mark: str) -> None:
        where = dn.child("uid", mark, base)
        picture = bytes(range(256)).decode("utf-8", "surrogateescape")
        assert write(directory, person(where, jpegPhoto=(picture,))) == [None]
        (entry,) = directory.search(base, dn.equals("uid", mark), ("jpegPhoto",))
        assert entry.values_of("jpegPhoto") == (picture,)

    def test_an_entry_gets_another_name_and_another_place(self, directory: Directory, base: str, mark: str) -> None:
        where, other = dn.child("uid", f"{mark}-old", base), dn.child("ou", mark, base)
        write(directory, person(where, title=("boss",)), stop_on_error=True)
        assert write(directory, Add(other, {"objectClass": ("organizationalUnit",), "ou": (mark,)})) == [None]
        new = f"uid={mark}-new"
        assert write(directory, Rename(where, new), stop_on_error=True) == [None]
        assert write(directory, Rename(f"{new},{base}", new, other)) == [None]
        (entry,) = directory.search(base, dn.equals("uid", f"{mark}-new"), ("uid", "title"))
        assert dn.normal(entry.dn) == dn.normal(f"{new},{other}")
        assert entry.attributes == {"uid": (f"{mark}-new",), "title": ("boss",)}
        assert write(directory, person(where)) == [None]
        (error,) = write(directory, Rename(where, new, other))
        assert isinstance(error, Conflict) and error.facts["ldap_result"] == "entryAlreadyExists"
        (error,) = write(directory, Rename(where, new, f"ou=nowhere,{base}"))
        assert error is not None and error.facts["ldap_result"] == "noSuchObject"

    def test_a_base_that_does_not_exist_is_an_error(self, directory: Directory, base: str) -> None:
        with pytest.raises(BackendFailed) as caught:
            directory.search(f"ou=nowhere,{base}", "(objectClass=*)", ("uid",))
        assert f"ou=nowhere,{base} does not exist" in str(caught.value)

    def test_the_root_names_suffix_and_controls(self, directory: Directory, base: str) -> None:
        (root,) = directory.search("", "(objectClass=*)", ("namingContexts", "supportedControl"), below=False)
        assert any(dn.within(base, suffix) for suffix in root.values_of("namingContexts"))
        assert root.values_of("supportedControl")

    def test_whether_passwords_are_shown_is_told_where_the_server_tells(
        self, directory: Directory, base: str, mark: str
    ) -> None:
        where = dn.child("uid", mark, base)
        assert write(directory, person(where)) == [None]
        assert directory.may_read(where, "userPassword") is self.tells_rights
        assert directory.may_read(f"uid=nobody,{base}", "userPassword") is False

    def test_it_knows_who_we_are(self, directory: Directory) -> None:
        assert dn.is_dn(directory.identity())
