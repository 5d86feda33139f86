# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that runs in a Job's pod, beside Ceph's own Python library, and what it tells.

A pod's message holds 4096 bytes, so the program sums up what a large cluster would tell, and packs it. It decides nothing but
this: it purges an OSD only by its fsid, and only one that is out, down and safe to destroy at that moment. It never forces Ceph,
which looks for itself once more.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Any

from .._core.errors import BackendFailed

PROGRAM = r"""
import base64, json, os, time, zlib
import rados

asked = json.loads(os.environ["KUBESTEAD_ASKED"])
busy = (-11, -16)  # EAGAIN, EBUSY: how Ceph says "not now"


def say(send, prefix, **arguments):
    code, out, err = send(json.dumps({"prefix": prefix, "format": "json", **arguments}), b"")
    if code and not (code in busy and prefix in ("osd safe-to-destroy", "osd ok-to-stop", "osd purge")):
        raise RuntimeError("%s: %s" % (prefix, err or os.strerror(abs(code))))
    return json.loads(out) if out.strip() else {}


def safe(ids):
    return set(say(mgr, "osd safe-to-destroy", ids=[str(one) for one in ids]).get("safe_to_destroy", [])) if ids else set()


def stoppable(ids):
    told = say(mgr, "osd ok-to-stop", ids=[str(one) for one in ids]).get("ok_to_stop") if ids else False
    return bool(told.get("ok_to_stop") if isinstance(told, dict) else told)


def osds():
    return {one["osd"]: one for one in say(mon, "osd dump")["osds"]}


def meant():
    there = osds()
    return {number: there[number] for number, fsid in asked["osds"] if number in there and there[number]["uuid"] == fsid}


def mark_out():
    ids = [str(number) for number in meant()]
    if ids:
        say(mon, "osd out", ids=ids)


def purge(number):
    end = time.monotonic() + 60
    while True:  # a daemon that is ending may come up again between any two of these steps
        state = meant().get(number)
        if state is None:
            break
        if state["in"]:
            raise RuntimeError("osd.%d is in, and was not to be" % number)
        if time.monotonic() > end:
            raise RuntimeError("osd.%d is %s" % (number, "still up" if state["up"] else "not safe to destroy"))
        if not state["up"] and number in safe([number]):
            say(mgr, "osd purge", id=number, yes_i_really_mean_it=True)
            continue
        if state["up"]:
            say(mon, "osd down", ids=[str(number)])
        time.sleep(1)
    for crash in say(mgr, "crash ls-new"):
        if crash.get("entity_name") == "osd.%d" % number:
            say(mgr, "crash archive", id=crash["crash_id"])


def drop_empty_hosts(names):
    for one in say(mon, "osd tree")["nodes"]:
        if one["type"] == "host" and one["name"] in names and not one.get("children"):
            say(mon, "osd crush rm", name=one["name"])


def wait_until_safe():
    end = time.monotonic() + asked["seconds"]
    while time.monotonic() < end:
        there = meant()
        if not there or any(one["in"] for one in there.values()):
            return
        if safe(there) >= set(there) and stoppable(there):
            return
        time.sleep(2)


def chains():
    nodes = say(mon, "osd tree")["nodes"]
    above = {child: one for one in nodes for child in one.get("children", [])}
    found = {}
    for one in nodes:
        if one["type"] == "osd":
            chain, here = {}, above.get(one["id"])
            while here:
                chain[here["type"]], here = here["name"], above.get(here["id"])
            found[one["id"]] = (chain, one.get("device_class", ""))
    return found


def look():
    dump, places = say(mon, "osd dump"), chains()
    usage = {one["id"]: one for one in say(mgr, "osd df")["nodes"]}
    wanted = {number for number, _fsid in asked["osds"]}
    about, rest = {}, {}
    for one in dump["osds"]:
        number = one["osd"]
        (chain, kind), used = places.get(number, ({}, "")), usage.get(number, {})
        if number in wanted or chain.get("host") in asked["hosts"]:
            about[number] = {"fsid": one["uuid"], "up": one["up"], "in": one["in"], "class": kind, "chain": chain}
            about[number].update(pgs=used.get("pgs", 0), kb=used.get("kb", 0), used=used.get("kb_used", 0))
        elif one["in"]:
            place = rest.setdefault(json.dumps([chain, kind]), [chain, kind, 0, 0, 0])
            place[2], place[3], place[4] = place[2] + 1, place[3] + used.get("kb", 0), place[4] + used.get("kb_used", 0)
    rules = {}
    for rule in say(mon, "osd crush rule dump"):
        steps = [[one["op"].split("_")[0], one.get("item_name", one.get("num", 0)), one.get("type", "")] for one in rule["steps"]]
        rules[rule["rule_id"]] = [step for step in steps if step[0] in ("take", "choose", "chooseleaf")]
    state = say(mon, "status")["pgmap"]
    clean = sum(one["count"] for one in state["pgs_by_state"] if one["state_name"].startswith("active+clean"))
    ids = sorted(about)
    return {
        "osds": about,
        "safe": sorted(safe(ids)),
        "stoppable": stoppable(meant()),
        "rest": list(rest.values()),
        "pools": [[one["pool_name"], one["size"], one["crush_rule"]] for one in dump["pools"]],
        "rules": rules,
        "nearfull": dump.get("nearfull_ratio", 0.85),
        "unclean": state["num_pgs"] - clean,
        "misplaced": round(100 * state.get("misplaced_ratio", 0), 1),
        "degraded": round(100 * state.get("degraded_ratio", 0), 1),
    }


def work():
    if asked["verb"] == "out":
        mark_out()
        wait_until_safe()
    elif asked["verb"] == "purge":
        hosts = {chains().get(number, ({}, ""))[0].get("host") for number in meant()}
        for number in meant():
            purge(number)
        drop_empty_hosts(hosts)
    else:
        wait_until_safe()
    return look()


try:
    ceph = rados.Rados(name="client.admin")
    ceph.conf_parse_env("CEPH_ARGS")
    ceph.connect(timeout=30)
    mon, mgr = ceph.mon_command, ceph.mgr_command
    told, status = work(), 0
except Exception as problem:
    told, status = {"error": ("%s: %s" % (type(problem).__name__, problem))[:600]}, 1
text = base64.b64encode(zlib.compress(json.dumps(told, separators=(",", ":")).encode(), 9))
if len(text) > 4096:
    told, status = {"error": "the answer takes %d bytes, and a pod can tell 4096" % len(text)}, 1
    text = base64.b64encode(zlib.compress(json.dumps(told).encode()))
with open("/dev/termination-log", "wb") as message:
    message.write(text)
raise SystemExit(status)
"""


def unpacked(message: str) -> dict[str, Any]:
    """What a pod's message says; raises BackendFailed for an error in it, and for what is no message of the program."""
    try:
        told = json.loads(zlib.decompress(base64.b64decode(message, validate=True)))
    except (binascii.Error, ValueError, zlib.error):
        last = (message.strip().splitlines() or ["nothing"])[-1]
        raise BackendFailed(f"The Job that asks Ceph ended and said: {last[:300]}.", hint="See the Ceph image.") from None
    if "error" in told:
        raise BackendFailed(f"Ceph said no: {told['error']}.")
    return dict(told)
