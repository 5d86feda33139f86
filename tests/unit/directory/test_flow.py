# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ldap_account on the directory in memory: what is decided, in which order it is written, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

import pytest
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import CollError, Refused
from ansible_collections.kubestead.platform.plugins.module_utils._core.plan import Verdict, render_diff
from ansible_collections.kubestead.platform.plugins.module_utils._core.ports import StoredFile
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import Run, carry_out, entry_dict, settle
from ansible_collections.kubestead.platform.plugins.module_utils._directory.model import (
    LOCKED_FOR_GOOD,
    Add,
    Modify,
    Op,
    SetPassword,
)
from ansible_collections.kubestead.platform.plugins.module_utils._flows.ldap_account import LdapAccountFlow

from fakes.directory import FakeDirectory

USERS, GROUPS = "ou=people,dc=example,dc=org", "ou=groups,dc=example,dc=org"
CANARY = "Canary-7391-hidden"


class MemoryFiles:
    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.broken: set[str] = set()

    def read(self, path: str) -> Optional[bytes]:
        return self.content.get(path)

    def find(self, path: str) -> Optional[StoredFile]:
        found = self.content.get(path)
        return None if found is None else StoredFile(found, 0o600, "root", "root", True)

    def write(self, path: str, content: bytes) -> None:
        if path in self.broken:
            raise Refused(f"{path} is a symbolic link.")
        self.content[path] = content


class World:
    def __init__(self) -> None:
        self.directory = FakeDirectory()
        self.files = MemoryFiles()
        self.made = 0
        self.run: Run

    def new_password(self) -> str:
        self.made += 1
        return f"{CANARY}-{self.made}"

    def flow(self, accounts: list[dict[str, Any]], groups: list[dict[str, Any]], **options: Any) -> LdapAccountFlow:
        params = {
            "user_base": USERS, "group_base": GROUPS, "profile": "posix", "group_kind": None, "accounts": accounts,
            "groups": groups, "id_range": None, "archive_base": None, "delete_policy": "delete",
            "empty_groups": "refuse", "password_secret": None, "default_gid_number": 100, "update_password": "on_create",
            "password_directory": "/pw", "max_deletes": 20, "state": "present", "on_error": "continue", "concurrency": 4,
            "timeout": 30, **options,
        }  # fmt: skip
        return LdapAccountFlow(params, self.directory, self.files, self.new_password)

    def go(
        self, *accounts: dict[str, Any], groups: tuple[dict[str, Any], ...] = (), check: bool = False, **options: Any
    ) -> dict[str, Verdict]:
        flow = self.flow(list(accounts), list(groups), **options)
        plan = flow.decide(flow.observe())
        self.run = Run(plan) if check else carry_out(plan, flow.execute, stop_on_error=flow.stop_on_error)
        return {verdict.name: verdict for verdict in settle(self.run)}

    def account(self, uid: str) -> Mapping[str, list[str]]:
        found = self.directory.attributes_of(f"uid={uid},{USERS}")
        assert found is not None
        return found

    def group(self, cn: str) -> Mapping[str, list[str]]:
        found = self.directory.attributes_of(f"cn={cn},{GROUPS}")
        assert found is not None
        return found


@pytest.fixture
def world() -> World:
    return World()


def actions(verdicts: dict[str, Verdict]) -> dict[str, str]:
    return {name: str(entry_dict(verdict)["action"]) for name, verdict in verdicts.items()}


def error(verdict: Verdict) -> CollError:
    assert verdict.error is not None
    return verdict.error


def test_accounts_and_groups_are_predicted_made_and_then_left_alone(world: World) -> None:
    accounts = (
        {"uid": "anna", "cn": "Anna Meyer", "mail": ["anna@example.org"], "groups": ["dev", "ops"], "generate_password": True},
        {"uid": "ben", "groups": ["dev"], "enabled": False},
    )
    foretold = world.go(*accounts, check=True)
    assert world.directory.writes == [] and world.files.content == {}
    done = world.go(*accounts)
    assert actions(foretold) == actions(done) == {"anna": "created", "ben": "created", "dev": "created", "ops": "created"}
    assert foretold["anna"].facts["uid_number"] == "auto" and done["anna"].facts["uid_number"] == 10000
    assert world.account("anna")["sn"] == ["Meyer"] and world.account("anna")["homedirectory"] == ["/home/anna"]
    assert world.group("dev")["memberuid"] == ["anna", "ben"]
    assert len({*world.account("ben")["uidnumber"], *world.group("dev")["gidnumber"], *world.group("ops")["gidnumber"]}) == 3
    assert world.account("ben")["pwdaccountlockedtime"] == [LOCKED_FOR_GOOD]
    written = len(world.directory.writes)
    assert set(actions(world.go(*accounts)).values()) == {"unchanged"} and len(world.directory.writes) == written


def test_only_named_attributes_change_and_empty_ones_go(world: World) -> None:
    world.go({"uid": "anna", "cn": "Anna Meyer", "mail": ["a@example.org"], "display_name": "Anna", "shell": "/bin/sh"})
    verdict = world.go({"uid": "anna", "mail": ["b@example.org", "a@example.org"], "display_name": ""})["anna"]
    assert (verdict.action, verdict.facts["changed"]) == ("updated", ["displayName", "mail"])
    assert world.account("anna")["displayname"] == [] and world.account("anna")["loginshell"] == ["/bin/sh"]
    assert actions(world.go({"uid": "anna", "cn": "anna  meyer", "mail": ["A@example.org", "b@example.org"]})) == {
        "anna": "unchanged"
    }


def test_ssh_keys_bring_their_class_to_an_account_that_exists(world: World) -> None:
    world.go({"uid": "anna"})
    world.go({"uid": "anna", "ssh_keys": ["ssh-ed25519 AAAA anna"]})
    assert world.account("anna")["objectclass"][-1] == "ldapPublicKey"
    assert actions(world.go({"uid": "anna", "ssh_keys": ["ssh-ed25519 AAAA other comment"]})) == {"anna": "unchanged"}


def test_a_person_becomes_a_posix_account_with_what_that_demands(world: World) -> None:
    world.go({"uid": "anna"}, profile="person")
    assert "uidnumber" not in world.account("anna")
    verdict = world.go({"uid": "anna"})["anna"]
    assert verdict.action == "updated" and world.account("anna")["uidnumber"] == [str(verdict.facts["uid_number"])]


def test_an_account_the_directory_refuses_is_left_out_and_the_others_get_in(world: World) -> None:
    done = world.go(
        {"uid": "anna", "groups": ["dev"]},
        {"uid": "bad", "mail": ["jürgen@exämple.org"], "groups": ["dev", "alone"], "generate_password": True},
        groups=({"cn": "alone", "kind": "groupOfNames"},),
    )
    assert actions(done) == {"anna": "created", "bad": "failed", "dev": "created", "alone": "failed"}
    assert "uid=bad," in str(error(done["bad"])) and error(done["bad"]).facts["ldap_result"] == "invalidAttributeSyntax"
    assert world.group("dev")["memberuid"] == ["anna"] and done["dev"].facts["left_out"] == ["bad"]
    assert "bad could not be handled" in str(error(done["alone"]))
    assert world.files.content == {}


def test_an_existing_group_whose_only_newcomer_failed_is_not_written(world: World) -> None:
    world.go({"uid": "anna", "groups": ["dev"]})
    bad = {"uid": "bad", "mail": ["ü@x"], "groups": ["dev"]}
    assert actions(world.go(bad)) == {"bad": "failed", "dev": "skipped"}


def test_with_stop_nothing_follows_a_failure(world: World) -> None:
    done = world.go({"uid": "bad", "mail": ["ü@x"]}, {"uid": "anna", "groups": ["dev"]}, on_error="stop")
    assert actions(done) == {"bad": "failed", "anna": "skipped", "dev": "skipped"}


def test_a_generated_password_is_on_disk_before_the_directory_has_it_and_nowhere_else(world: World) -> None:
    def look(op: Op) -> None:
        if isinstance(op, SetPassword) and op.dn.startswith("uid=anna,"):
            assert world.files.content["/pw/anna.password"].decode() == op.password

    world.directory.before = look
    accounts = ({"uid": "anna", "generate_password": True}, {"uid": "ben", "password": f"{CANARY}-inline"})
    done = world.go(*accounts)
    assert done["anna"].facts["password_path"] == "/pw/anna.password"
    assert set(world.directory.passwords.values()) == {f"{CANARY}-1", f"{CANARY}-inline"}
    shown = json.dumps([entry_dict(v) for v in done.values()] + render_diff(world.run.done)) + repr(world.run)
    shown += repr(world.directory.writes) + repr(world.flow(list(accounts), [])._wanted)
    assert CANARY not in shown


def test_a_run_that_was_cut_short_is_finished_with_the_password_on_disk(world: World) -> None:
    class Killed(BaseException):
        pass

    def kill(op: Op) -> None:
        if isinstance(op, SetPassword):
            raise Killed

    world.directory.before = kill
    with pytest.raises(Killed):
        world.go({"uid": "anna", "generate_password": True})
    kept = dict(world.files.content)
    world.directory.before = lambda op: None
    verdict = world.go({"uid": "anna", "generate_password": True})["anna"]
    assert (verdict.action, verdict.reason) == ("updated", "no password yet")
    assert world.files.content == kept and set(world.directory.passwords.values()) == {f"{CANARY}-1"}
    assert actions(world.go({"uid": "anna", "generate_password": True})) == {"anna": "unchanged"}


def test_a_password_that_cannot_be_stored_is_not_set(world: World) -> None:
    world.files.broken.add("/pw/anna.password")
    done = world.go({"uid": "anna", "generate_password": True}, {"uid": "ben", "generate_password": True})
    assert actions(done) == {"anna": "failed", "ben": "created"} and len(world.directory.passwords) == 1


def test_a_password_change_on_a_locked_account_locks_it_again(world: World) -> None:
    world.go({"uid": "anna", "enabled": False})
    verdict = world.go({"uid": "anna", "password": CANARY}, update_password="always")["anna"]
    assert verdict.facts["enabled"] is False
    assert world.account("anna")["pwdaccountlockedtime"] == [LOCKED_FOR_GOOD]
    assert world.go({"uid": "anna", "enabled": True})["anna"].action == "updated"
    assert world.account("anna")["pwdaccountlockedtime"] == []


def test_a_new_disabled_account_is_locked_before_it_has_a_password(world: World) -> None:
    world.go({"uid": "anna", "password": CANARY, "enabled": False})
    kinds = [type(op) for op in world.directory.writes if f"uid=anna,{USERS}" == op.dn]
    assert kinds == [Add, Modify, SetPassword, Modify]
    assert world.account("anna")["pwdaccountlockedtime"] == [LOCKED_FOR_GOOD]


def test_a_pause_after_failed_logins_is_neither_a_lock_nor_ended(world: World) -> None:
    world.go({"uid": "anna"})
    world.directory.put(f"uid=anna,{USERS}", **{**world.account("anna"), "pwdaccountlockedtime": ["20260101120000Z"]})
    assert actions(world.go({"uid": "anna", "enabled": True})) == {"anna": "unchanged"}
    assert actions(world.go({"uid": "anna", "enabled": False})) == {"anna": "updated"}


def test_a_lock_without_effect_is_refused(world: World) -> None:
    world.directory.put("cn=default,ou=policies,dc=example,dc=org", objectClass=["pwdPolicy"], pwdLockout=["FALSE"])
    done = world.go({"uid": "anna", "enabled": False}, {"uid": "ben"})
    assert actions(done) == {"anna": "failed", "ben": "created"} and "pwdLockout FALSE" in str(error(done["anna"]))


def test_a_password_file_is_read_only_when_needed_and_refused_before_any_write(world: World) -> None:
    entry = {"uid": "anna", "password_file": "/src/anna"}
    done = world.go(entry, {"uid": "ben"})
    assert actions(done) == {"anna": "failed", "ben": "created"} and "/src/anna does not exist" in str(error(done["anna"]))
    world.files.content["/src/anna"] = b"anna\n"
    assert "public value" in str(error(world.go(entry)["anna"]))
    world.files.content["/src/anna"] = b"\n"
    assert "is empty" in str(error(world.go(entry)["anna"]))
    world.files.content["/src/anna"] = CANARY.encode()
    assert actions(world.go(entry)) == {"anna": "created"}
    del world.files.content["/src/anna"]
    assert actions(world.go(entry)) == {"anna": "unchanged"}


def test_where_passwords_cannot_be_seen_nobody_is_given_a_new_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.go({"uid": "anna", "password": CANARY})
    real = world.directory.search
    hidden = ("userPassword", "pwdChangedTime", "supportedControl")

    def blind(base: str, filter_: str, attributes: Any, *, below: bool = True) -> Any:
        found = real(base, filter_, attributes, below=below)
        return tuple(type(e)(e.dn, {n: v for n, v in e.attributes.items() if n not in map(str.lower, hidden)}) for e in found)

    monkeypatch.setattr(world.directory, "search", blind)
    assert actions(world.go({"uid": "anna", "password": "another one"})) == {"anna": "unchanged"}


def test_clear_text_is_refused_before_any_write(world: World) -> None:
    world.directory.protects_secrets = False
    with pytest.raises(Refused, match="clear text"):
        world.go({"uid": "anna", "password": CANARY})
    assert world.directory.writes == []
    assert actions(world.go({"uid": "anna"})) == {"anna": "created"}


def test_who_leaves_is_taken_out_of_every_group_first(world: World) -> None:
    world.go({"uid": "anna", "groups": ["dev"]}, {"uid": "ben", "groups": ["dev"]})
    world.go(groups=({"cn": "names", "kind": "groupOfNames", "members": {"set": ["anna", "ben"]}},))
    gone = {"uid": "anna", "state": "absent"}
    foretold = world.go(gone, check=True)
    done = world.go(gone)
    assert actions(foretold) == actions(done) == {"anna": "removed", "dev": "updated", "names": "updated"}
    assert world.group("names")["member"] == [f"uid=ben,{USERS}"] and world.group("dev")["memberuid"] == ["ben"]
    assert world.directory.attributes_of(f"uid=anna,{USERS}") is None
    assert actions(world.go(gone)) == {"anna": "unchanged"}


def test_the_last_member_of_a_group_of_names_stays_with_a_reason(world: World) -> None:
    world.go({"uid": "anna"}, {"uid": "ben"})
    world.go(groups=({"cn": "names", "kind": "groupOfNames", "members": {"set": ["anna"]}},))
    done = world.go({"uid": "anna", "state": "absent"}, {"uid": "ben", "state": "absent"})
    assert actions(done) == {"anna": "failed", "ben": "removed", "names": "failed"}
    assert "must have one" in str(error(done["anna"]))
    assert actions(world.go({"uid": "anna", "state": "absent"}, groups=({"cn": "names", "state": "absent"},))) == {
        "anna": "removed",
        "names": "removed",
    }


def test_one_member_is_replaced_by_another_in_one_write(world: World) -> None:
    world.go({"uid": "anna"}, {"uid": "ben"})
    world.go(groups=({"cn": "names", "kind": "groupOfNames", "members": {"set": ["anna"]}},))
    done = world.go(groups=({"cn": "names", "members": {"set": ["ben"]}},))
    assert actions(done) == {"names": "updated"} and world.group("names")["member"] == [f"uid=ben,{USERS}"]


def test_members_of_a_set_come_from_accounts_too_and_others_go(world: World) -> None:
    world.go({"uid": "anna", "groups": ["dev"]}, {"uid": "ben", "groups": ["dev"]}, {"uid": "carl"})
    done = world.go({"uid": "carl", "groups": ["dev"]}, groups=({"cn": "dev", "members": {"set": ["anna"]}},))
    assert done["dev"].facts["added"] == ["carl"] and done["dev"].facts["removed"] == ["ben"]


def test_a_member_nobody_knows_is_an_error_of_its_group(world: World) -> None:
    done = world.go(groups=({"cn": "names", "kind": "groupOfNames", "members": {"add": ["ghost"]}},))
    assert "no account ghost" in str(error(done["names"]))


def test_a_group_of_another_kind_is_a_conflict(world: World) -> None:
    world.go(groups=({"cn": "dev"},))
    done = world.go(groups=({"cn": "dev", "kind": "groupOfNames", "members": {"add": [f"uid=x,{USERS}"]}},))
    assert "exists as posixGroup" in str(error(done["dev"]))


def test_too_many_removals_write_nothing_at_all(world: World) -> None:
    world.go(*({"uid": f"u{n}"} for n in range(3)))
    before = len(world.directory.writes)
    with pytest.raises(Refused, match="max_deletes is 2"):
        world.go(*({"uid": f"u{n}"} for n in range(3)), {"uid": "new", "state": "present"}, state="absent", max_deletes=2)
    assert len(world.directory.writes) == before


def test_the_identity_of_the_task_is_neither_removed_nor_locked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.go({"uid": "root"})
    monkeypatch.setattr(world.directory, "identity", lambda: f"UID=Root, {USERS}")
    assert "binds as" in str(error(world.go({"uid": "root", "state": "absent"})["root"]))
    assert "binds as" in str(error(world.go({"uid": "root", "enabled": False})["root"]))


def test_runs_side_by_side_get_different_numbers_and_gone_ones_are_not_given_again(world: World) -> None:
    other = World()
    other.directory = world.directory
    world.go({"uid": "first"})
    raced: list[str] = []

    def other_run(op: Op) -> None:
        if isinstance(op, Modify) and "kubestead-ids" in op.dn and not raced:
            raced.append("once")
            other.go({"uid": "theirs"})

    world.directory.before = other_run
    world.go({"uid": "ours"})
    numbers = {uid: world.account(uid)["uidnumber"][0] for uid in ("first", "ours", "theirs")}
    assert len(set(numbers.values())) == 3 and raced
    world.go({"uid": "ours", "state": "absent"}, {"uid": "theirs", "state": "absent"})
    assert int(str(world.go({"uid": "next"})["next"].facts["uid_number"])) > max(map(int, numbers.values()))


def test_numbers_in_use_are_passed_over_and_the_end_of_the_range_is_said(world: World) -> None:
    world.go({"uid": "fixed", "uid_number": "10001"})
    small = {"id_range": {"min": 10000, "max": 10003}}
    assert world.go({"uid": "a"}, {"uid": "b"}, **small)["b"].facts["uid_number"] == 10003
    done = world.go({"uid": "c"}, {"uid": "d", "uid_number": "7"}, **small)
    assert "id_range" in str(error(done["c"])) and done["d"].action == "created"
    assert "belongs to" in str(error(world.go({"uid": "e", "uid_number": "7"})["e"]))


def test_a_search_that_was_cut_short_ends_the_task(world: World) -> None:
    world.go(*({"uid": f"u{n}"} for n in range(5)))
    world.directory.size_limit = 3
    with pytest.raises(CollError, match="Only 3 entries"):
        world.go(*({"uid": f"u{n}"} for n in range(5)))


def test_an_account_that_exists_twice_or_elsewhere_is_told_apart(world: World) -> None:
    world.directory.put(f"ou=sub,{USERS}", objectClass=["organizationalUnit"])
    world.go({"uid": "anna"})
    held = dict(world.account("anna"))
    world.directory.put(f"uid=ben,ou=sub,{USERS}", **{**held, "uid": ["ben"], "uidnumber": ["5"]})
    assert world.go({"uid": "ben", "cn": "Ben"})["ben"].facts["dn"] == f"uid=ben,ou=sub,{USERS}"
    world.directory.put(f"uid=anna,ou=sub,{USERS}", **held)
    assert "exists 2 times" in str(error(world.go({"uid": "anna", "cn": "New"})["anna"]))


def test_who_is_archived_is_locked_then_taken_out_of_groups_then_moved(world: World) -> None:
    world.directory.put(f"ou=left,{USERS}", objectClass=["organizationalUnit"], ou=["left"])
    archive = {"archive_base": f"ou=left,{USERS}", "delete_policy": "archive"}
    world.go({"uid": "anna", "groups": ["dev"], "ssh_keys": ["ssh-ed25519 AAAA anna"]}, {"uid": "ben"}, **archive)
    before = len(world.directory.writes)
    done = world.go({"uid": "anna", "state": "absent"}, **archive)
    assert (done["anna"].action, done["anna"].reason) == ("removed", "archived")
    kinds = [(type(op).__name__, op.dn.partition(",")[0]) for op in world.directory.writes[before:]]
    assert kinds == [("Modify", "uid=anna"), ("Modify", "uid=anna"), ("Modify", "cn=dev"), ("Rename", "uid=anna")]
    assert actions(world.go({"uid": "anna", "state": "absent"}, **archive)) == {"anna": "unchanged"}
    taken = world.go({"uid": "carl", "uid_number": str(done["anna"].facts.get("uid_number", 10000))}, **archive)
    assert "belongs to uid=anna,ou=left" in str(error(taken["carl"]))
    back = world.go({"uid": "anna"}, **archive)["anna"]
    assert back.facts["enabled"] is False and "was archived" in back.reason
    assert world.account("anna")["sshpublickey"] == ["# disabled: ssh-ed25519 AAAA anna"]
    assert world.go({"uid": "anna", "enabled": True}, **archive)["anna"].facts["enabled"] is True
    assert world.account("anna")["sshpublickey"] == ["ssh-ed25519 AAAA anna"]


def test_an_archive_counts_as_a_removal_and_needs_a_lock_that_works(world: World) -> None:
    world.directory.put("ou=left,dc=example,dc=org", objectClass=["organizationalUnit"], ou=["left"])
    archive = {"archive_base": "ou=left,dc=example,dc=org", "delete_policy": "archive"}
    world.go({"uid": "anna"}, **archive)
    with pytest.raises(Refused, match="max_deletes is 0"):
        world.go({"uid": "anna", "state": "absent"}, max_deletes=0, **archive)
    world.directory.put("cn=default,ou=policies,dc=example,dc=org", objectClass=["pwdPolicy"], pwdLockout=["FALSE"])
    assert "pwdLockout FALSE" in str(error(world.go({"uid": "anna", "state": "absent"}, **archive)["anna"]))


def test_a_renamed_account_keeps_its_groups_and_whoever_cannot_get_the_new_name_is_told(world: World) -> None:
    world.go({"uid": "old", "groups": ["dev"]})
    world.go(groups=({"cn": "names", "kind": "groupOfNames", "members": {"set": ["old"]}},))
    wanted = {"uid": "new", "renamed_from": "old", "groups": ["dev"]}
    foretold = world.go(wanted, check=True)
    done = world.go(wanted)
    assert actions(foretold) == actions(done) == {"new": "updated", "dev": "unchanged"}
    assert world.group("dev")["memberuid"] == ["new"] and world.group("names")["member"] == [f"uid=new,{USERS}"]
    assert actions(world.go(wanted)) == {"new": "unchanged", "dev": "unchanged"}
    world.go({"uid": "other"})
    clash = world.go({"uid": "new", "renamed_from": "other"})
    assert "which it is to be renamed from" in str(error(clash["new"]))


def test_the_identity_of_the_task_is_not_renamed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.go({"uid": "root"})
    monkeypatch.setattr(world.directory, "identity", lambda: f"UID=Root, {USERS}")
    assert "not renamed" in str(error(world.go({"uid": "admin", "renamed_from": "root"})["admin"]))


def test_a_placeholder_stands_in_only_while_nobody_else_is_there(world: World) -> None:
    option = {"empty_groups": "placeholder"}
    names = {"cn": "names", "kind": "groupOfNames"}
    nobody = f"cn=kubestead-nobody,{GROUPS}"
    world.go({"uid": "bad", "mail": ["ü@x"], "groups": ["names"]}, groups=(names,), **option)
    assert world.group("names")["member"] == [nobody]
    assert actions(world.go(groups=(names,), **option)) == {"names": "unchanged"}
    world.go({"uid": "anna", "groups": ["names"]}, groups=(names,), **option)
    assert world.group("names")["member"] == [f"uid=anna,{USERS}"]
    world.go(groups=({**names, "members": {"set": []}},), **option)
    assert world.group("names")["member"] == [nobody]


def test_a_digest_of_the_password_is_kept_only_once_it_is_set(world: World) -> None:
    when = {"update_password": "when_changed"}
    world.go({"uid": "anna", "password": "First-5555-word"}, **when)
    assert list(world.files.content) == ["/pw/.last-set/anna"] and b"First" not in world.files.content["/pw/.last-set/anna"]
    assert actions(world.go({"uid": "anna", "password": "First-5555-word"}, **when)) == {"anna": "unchanged"}
    assert world.go({"uid": "anna", "password": "Second-5555-word"}, **when)["anna"].reason == "password differs"
    world.files.content.clear()
    assert "unverifiable" in world.go({"uid": "anna", "password": "Second-5555-word"}, **when)["anna"].reason
    assert actions(world.go({"uid": "anna", "password": "Second-5555-word"}, **when)) == {"anna": "unchanged"}
