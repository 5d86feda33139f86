# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way from bare nodes and a list of people to a working platform, on a lab that begins fresh.

The tests follow one another: each begins where the one before it ended.
"""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from integration.ceph_driver import WARNINGS, Ceph
from integration.conftest import ROOT
from integration.site_books import Books, SiteRun

pytestmark = [pytest.mark.nodes, pytest.mark.slow, pytest.mark.timeout(1800)]

PEOPLE: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests/lab/people.yml").read_text(encoding="utf-8"))["kubestead_people"]
VOLUMES = ["/dev/stead_bulk/osd0", "/dev/stead_fast/osd1"]
# A key or token in any of the forms it could be printed in; LS0tLS1CRUdJTi is the beginning of a PEM text in base64.
SECRET = re.compile(r"PRIVATE KEY|LS0tLS1CRUdJTiB(?!DRVJU)|client-key-data: [^s*<(]|token: [A-Za-z0-9_.-]{20}")


class Site:
    """The fresh lab, and people who work with it."""

    def __init__(self, books: Books) -> None:
        self.lab, self.play = books.lab, books.play
        self.people = Path(self.lab.env["KUBESTEAD_LAB_DIR"]) / "people"

    def as_person(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        kubeconfig = self.people / "kubeconfigs" / f"{name}.kubeconfig"
        return self.lab.exec("kubectl", "--kubeconfig", str(kubeconfig), *arguments, check=False)

    def bind(self, name: str) -> int:
        """Log in to the directory with the first password; the exit status is the LDAP result."""
        password = str(self.people / "passwords" / f"{name}.password")
        uri, base = self.lab.env["KUBESTEAD_LDAP_URI"], self.lab.env["KUBESTEAD_LDAP_USER_BASE"]
        who = ["-x", "-H", uri, "-D", f"uid={name},{base}", "-y", password]
        return self.lab.exec("ldapwhoami", *who, check=False).returncode


@pytest.fixture(scope="module")
def site(books: Books) -> Site:
    """The fresh lab."""
    return Site(books)


@pytest.fixture(scope="module")
def announced(site: Site) -> SiteRun:
    """What a check run says on the fresh lab."""
    return site.play("site", "--check", "--diff")


@pytest.fixture(scope="module")
def applied(site: Site, announced: SiteRun) -> SiteRun:  # noqa: ARG001 - it has to come first
    """The first real run."""
    return site.play("site")


def test_a_check_run_on_a_fresh_lab_succeeds_and_writes_nothing(site: Site, announced: SiteRun) -> None:
    assert announced.status == 0, announced.failures()
    assert not site.people.exists()
    assert site.lab.kubectl("get", "namespace", "rook-ceph", check=False).returncode != 0
    assert "stead_" not in site.lab.exec("ssh", "node1", "vgs").stdout


def test_a_check_run_with_diff_prints_no_secret(announced: SiteRun) -> None:
    assert SECRET.search(announced.output) is None


def test_the_first_run_does_what_was_announced_entry_by_entry(announced: SiteRun, applied: SiteRun) -> None:
    assert applied.status == 0, applied.failures()
    assert len(applied.entries()) > 100
    assert applied.entries() == announced.entries()


def test_what_the_server_could_not_judge_was_announced(announced: SiteRun, site: Site, applied: SiteRun) -> None:  # noqa: ARG001
    """Names of objects whose kind or namespace the same run creates; what the operator makes belongs to the cluster."""
    told = [str(result.get("msg")) for _host, result in announced.results("debug")]
    assert any("CephCluster rook-ceph" in text for text in told)
    later = " ".join(text for text in told if "would create, not validated" in text)
    for kind in ("deployment", "serviceaccount", "configmap"):
        found = json.loads(site.lab.kubectl("get", kind, "-n", "rook-ceph", "-o", "json").stdout)["items"]
        ours = [one["metadata"]["name"] for one in found if not one["metadata"].get("ownerReferences")]
        made = [name for name in ours if name not in ("default", "kube-root-ca.crt")]
        assert [name for name in made if name not in later] == []


def test_the_second_run_changes_nothing(site: Site, applied: SiteRun) -> None:  # noqa: ARG001
    second = site.play("site")
    assert second.status == 0, second.failures()
    assert {host: numbers["changed"] for host, numbers in second.recap().items()} == {"localhost": 0, "node1": 0, "node2": 0}
    assert {action for _module, _host, _kind, _name, action in second.entries()} == {"unchanged"}


def test_both_nodes_have_the_planned_volumes_and_the_cluster_names_exactly_these(site: Site, applied: SiteRun) -> None:  # noqa: ARG001
    cluster = json.loads(site.lab.kubectl("get", "cephcluster", "rook-ceph", "-n", "rook-ceph", "-o", "json").stdout)
    named = {node["name"]: [device["name"] for device in node["devices"]] for node in cluster["spec"]["storage"]["nodes"]}
    assert named == {"node1": VOLUMES, "node2": VOLUMES}
    for node in named:
        told = json.loads(site.lab.exec("ssh", node, "lvs --reportformat json -o vg_name,lv_name,lv_size --units b").stdout)
        volumes = told["report"][0]["lv"]
        assert sorted(f"/dev/{volume['vg_name']}/{volume['lv_name']}" for volume in volumes) == VOLUMES
        assert all(int(volume["lv_size"].rstrip("B")) > 9 << 30 for volume in volumes)
    assert cluster["spec"]["security"]["cephx"]["csi"]["keyType"] == "aes"


def test_the_node_settings_survive(site: Site, applied: SiteRun) -> None:  # noqa: ARG001
    for node in ("node1", "node2"):
        told = site.lab.exec("ssh", node, "sysctl -n fs.aio-max-nr; cat /etc/modules-load.d/kubestead-ceph.conf").stdout
        assert told.split()[0] == "1048576"
        assert "dm_mod" in told


def test_limit_does_not_shrink_the_cluster(site: Site, applied: SiteRun) -> None:  # noqa: ARG001
    run = site.play("site", "--limit", "node1,kubestead_control")
    assert run.status == 0, run.failures()
    assert run.recap()["localhost"]["changed"] == 0


def test_a_node_that_would_vanish_is_refused(site: Site, applied: SiteRun, tmp_path: Path) -> None:  # noqa: ARG001
    inventory = yaml.safe_load(Path(site.lab.env["KUBESTEAD_LAB_INVENTORY"]).read_text(encoding="utf-8"))
    del inventory["all"]["children"]["kubestead_nodes"]["hosts"]["node2"]
    one = tmp_path / "one-node.yml"
    one.write_text(yaml.safe_dump(inventory), encoding="utf-8")
    version = ("get", "cephcluster", "rook-ceph", "-n", "rook-ceph", "-o", "jsonpath={.metadata.generation}")
    before = site.lab.kubectl(*version).stdout
    run = site.play("deploy_rook", inventory=str(one))
    assert run.status != 0
    assert "would vanish: node2" in run.output
    assert site.lab.kubectl(*version).stdout == before


def test_ceph_is_healthy_on_the_planned_volumes(site: Site, applied: SiteRun) -> None:
    """The first run waited for it; what Ceph says itself agrees."""
    assert re.search(r'"phase Ready, 4 of 4 OSDs running, health HEALTH_(OK|WARN)"', applied.output)
    ceph = Ceph(site.lab)
    assert {(place.node, place.volume) for place in ceph.places().values()} == {
        (node, volume) for node in ("node1", "node2") for volume in VOLUMES
    }
    told = ceph.status()
    assert (told["osdmap"]["num_up_osds"], told["osdmap"]["num_in_osds"]) == (4, 4)
    assert set(told["health"]["checks"]) <= set(WARNINGS)
    shown = subprocess.run([str(ROOT / "tests/lab/ceph_status")], text=True, capture_output=True, check=True).stdout
    assert re.search(r"^osd\.\d +node2 +/dev/stead_bulk/osd0 +/dev/ubdc +NODE2-DISK2$", shown, flags=re.M)


def test_what_is_written_through_the_pool_outlives_a_reboot(site: Site, applied: SiteRun) -> None:  # noqa: ARG001
    """The OSDs come back on the volumes they were on; nobody helps them but what would in a cluster with Rook."""
    ceph, text = Ceph(site.lab), secrets.token_hex(500_000)
    ceph.command("rados", "--pool", "ceph-block", "put", "letter", "-", stdin=text)
    before = ceph.places()
    subprocess.run([str(ROOT / "tests/lab/lab"), "node", "restart", "node2"], check=True, capture_output=True, timeout=300)
    ceph.wait_for("all of it healthy again", lambda: ceph.recovers() and ceph.is_clean())
    assert ceph.places() == before
    assert ceph.command("rados", "--pool", "ceph-block", "get", "letter", "-") == text


def test_an_osd_that_is_down_is_seen_behind_a_phase_ready(site: Site, applied: SiteRun) -> None:  # noqa: ARG001
    """It crashes at each start."""
    ceph = Ceph(site.lab)
    number, place = next(iter(ceph.places().items()))
    unit, broken = f"rook-ceph-osd-{number}.service", f"/run/systemd/system/rook-ceph-osd-{number}.service.d"
    fault = f"mkdir -p {broken}; printf '[Service]\\nExecStartPre=/bin/false\\n' >{broken}/fault.conf; systemctl daemon-reload"
    site.lab.exec("ssh", place.node, f"{fault}; systemctl kill --signal=KILL {unit}")
    wanted = f"{place.volume} on {place.node}: rook-ceph-osd-{number} is not ready"
    try:
        told = ceph.wait_for("the OSD to be missed", lambda: ceph.problems("3 of 4 OSDs answer", wanted, "OSD_DOWN"))
        assert told["phase"] == "Ready"
    finally:
        site.lab.exec("ssh", place.node, f"rm -r {broken}; systemctl daemon-reload")
    ceph.wait_for("the OSD", ceph.recovers)


def test_ready_without_any_osd_is_not_healthy(site: Site, applied: SiteRun) -> None:  # noqa: ARG001
    """Ceph itself never counts the last one as down, so the Deployments have to tell."""
    ceph = Ceph(site.lab)
    scale = ("scale", "deployment", "-n", "rook-ceph", "-l", "app=rook-ceph-osd")
    site.lab.kubectl(*scale, "--replicas=0")
    wanted = [f"rook-ceph-osd-{number} is not ready" for number in ceph.places()]
    told = ceph.wait_for("all OSDs to be missed", lambda: ceph.problems(" of 4 OSDs answer", *wanted))
    assert told["phase"] == "Ready"
    site.lab.kubectl(*scale, "--replicas=1")
    ceph.wait_for("the OSDs", ceph.recovers)


def test_a_device_that_rook_skips_is_missed(site: Site, applied: SiteRun) -> None:  # noqa: ARG001
    """A volume with a filesystem is passed over without an error, and the phase is Ready all the same."""
    ceph = Ceph(site.lab)
    get = ("get", "cephcluster", "rook-ceph", "-n", "rook-ceph", "-o", "jsonpath={.spec.storage.nodes}")
    nodes = json.loads(site.lab.kubectl(*get).stdout)
    site.lab.exec("ssh", "node1", "lvcreate -qq -y -L 6G -n other stead_bulk && mkfs.ext4 -q /dev/stead_bulk/other")
    more = [
        {**node, "devices": [*node["devices"], {"name": "/dev/stead_bulk/other"}]} for node in nodes if node["name"] == "node1"
    ]
    try:
        ceph.give_nodes([*more, *nodes[1:]])
        wanted = ["4 of 5 OSDs answer", "/dev/stead_bulk/other on node1: there is no OSD"]
        ceph.wait_for("the device to be missed, and nothing else", lambda: ceph.gate()["problems"] == wanted)
        assert 'skipping device "/dev/stead_bulk/other" because it contains a filesystem "ext4"' in ceph.log("rook-stand-in")
    finally:
        ceph.give_nodes(nodes)
        site.lab.exec("ssh", "node1", "lvremove -qq -y stead_bulk/other")
    ceph.wait_for("the cluster as it was", lambda: ceph.gate()["healthy"])


def test_an_old_status_is_not_believed(site: Site, applied: SiteRun) -> None:  # noqa: ARG001
    ceph = Ceph(site.lab)
    with ceph.operator_asleep():
        time.sleep(3)
        told = ceph.gate(max_status_age=2)
    assert not told["healthy"]
    assert "s old: the operator does not run" in told["problems"][0]


def test_a_person_is_who_they_are_and_may_what_was_granted(site: Site, applied: SiteRun) -> None:  # noqa: ARG001
    told = site.as_person("hana", "auth", "whoami", "-o", "json").stdout
    user = json.loads(told)["status"]["userInfo"]
    assert user["username"] == "hana"
    assert set(user["groups"]) == {"team-blue", "system:authenticated"}
    assert site.as_person("hana", "get", "pods").returncode == 0
    assert site.as_person("hana", "get", "pods", "--namespace", "team-blue").returncode == 0
    refused = site.as_person("hana", "get", "pods", "--namespace", "team-red")
    assert refused.returncode != 0
    assert "forbidden" in refused.stderr.lower()


def test_the_auditor_reads_everywhere_and_writes_nowhere(site: Site, applied: SiteRun) -> None:  # noqa: ARG001
    assert site.as_person("yasmin", "get", "pods", "--all-namespaces").returncode == 0
    assert site.as_person("yasmin", "auth", "can-i", "create", "pods", "--all-namespaces").stdout.strip() == "no"


def test_the_disabled_person_cannot_log_in_anywhere(site: Site, applied: SiteRun) -> None:  # noqa: ARG001
    assert site.bind("hana") == 0
    assert site.bind("xaver") == 49
    assert not (site.people / "kubeconfigs" / "xaver.kubeconfig").exists()
    assert not (site.people / "certificates" / "xaver.crt").exists()


def test_everybody_is_in_the_report_and_logged_in(applied: SiteRun) -> None:
    report = applied.report()
    assert report["ok"]
    assert {row["name"] for row in report["rows"]} == {person["name"] for person in PEOPLE}
    assert {row["login"] for row in report["rows"] if row["result"] == "present"} == {"ok"}


def test_secret_files_are_their_owners_only(site: Site, applied: SiteRun) -> None:  # noqa: ARG001
    loose = site.lab.exec("find", str(site.people), "!", "-type", "l", "-perm", "/077").stdout.splitlines()
    assert [path for path in loose if not path.endswith(".crt")] == []


def test_a_whole_list_that_is_wrong_ends_before_anything_is_written(site: Site, applied: SiteRun, tmp_path: Path) -> None:  # noqa: ARG001
    people = [*PEOPLE, {"name": "system:boss"}]
    run = site.play("onboard_users", "-e", f"@{_list(tmp_path, people)}")
    assert run.status != 0
    assert "system:boss" in run.output
    assert run.recap()["localhost"]["changed"] == 0
    assert run.entries() == []


def test_one_refused_person_stops_nobody_else(site: Site, tmp_path: Path) -> None:
    """24 people with other names and one whose mail the directory refuses, on the lab as it is now."""
    renamed = [{**person, "name": f"{person['name']}2", "mail": f"{person['name']}2@example.org"} for person in PEOPLE]
    renamed = [{**person, "state": "present"} for person in renamed]
    renamed[3]["mail"] = "dörthe@example.org"
    run = site.play("onboard_users", "-e", f"@{_list(tmp_path, renamed)}", "-e", "user_onboarding_owner=second")
    assert run.status != 0
    report = run.report()
    assert report["failed"] == ["dora2"], report["table"]
    assert sum(1 for row in report["rows"] if row["login"] == "ok") == 24
    assert run.recap()["localhost"]["failures"] == 1
    refused = next(row for row in report["rows"] if row["name"] == "dora2")
    assert "mail" in refused["why"]
    assert (refused["certificate"], refused["kubeconfig"], refused["grants"]) == ("-", "-", "-")
    assert not (site.people / "kubeconfigs" / "dora2.kubeconfig").exists()
    last = run.document["plays"][-1]["tasks"][-1]["hosts"]["localhost"]
    assert all(name in last["msg"] for name in ("anna2", "dora2", "24 of 25 people"))
    assert site.as_person("anna2", "auth", "whoami").returncode == 0


def test_somebody_who_is_disabled_loses_account_rights_and_kubeconfig(site: Site, applied: SiteRun, tmp_path: Path) -> None:  # noqa: ARG001
    people = [{**person, "state": "disabled"} if person["name"] == "goran" else person for person in PEOPLE]
    kept = tmp_path / "kept.kubeconfig"
    kept.write_bytes((site.people / "kubeconfigs" / "goran.kubeconfig").read_bytes())
    kept.chmod(0o600)
    run = site.play("onboard_users", "-e", f"@{_list(tmp_path, people)}")
    assert run.status == 0, run.failures()
    assert site.bind("goran") == 49
    assert not (site.people / "kubeconfigs" / "goran.kubeconfig").exists()
    old = site.lab.exec("kubectl", "--kubeconfig", str(kept), "get", "pods", "--namespace", "team-blue", check=False)
    assert "forbidden" in old.stderr.lower()


def test_pruning_takes_back_what_nobody_has_any_more(site: Site, applied: SiteRun, tmp_path: Path) -> None:  # noqa: ARG001
    people = [{**person, "access": person["access"][:1]} if person["name"] == "anna" else person for person in PEOPLE]
    assert site.as_person("anna", "get", "pods", "--namespace", "team-gold").returncode == 0
    run = site.play("onboard_users", "-e", f"@{_list(tmp_path, people)}")
    assert run.status == 0, run.failures()
    assert site.as_person("anna", "get", "pods", "--namespace", "team-gold").returncode != 0
    assert site.as_person("anna", "get", "pods", "--namespace", "team-red").returncode == 0


def _list(folder: Path, people: list[dict[str, Any]]) -> Path:
    path = folder / "people.yml"
    path.write_text(yaml.safe_dump({"kubestead_people": people}, allow_unicode=True), encoding="utf-8")
    return path
