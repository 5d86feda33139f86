# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a disk may be used or erased: what no consent lifts, and what a consent must name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

from .._core.errors import CollError, Refused
from . import model, tags
from .findings import BLUESTORE
from .identity import describe
from .model import Device, Node
from .verdicts import Judgement
from .wanted import RAW, Consent, WantedDisk

_NEVER = {model.UNSUITABLE: "Name another disk.", model.IN_USE: "Unmount, close or deactivate what uses it first."}


def never(disk: WantedDisk, device: Device, judgement: Judgement) -> Optional[CollError]:
    """Refusals that no consent lifts."""
    hint = _NEVER.get(judgement.verdict)
    if hint is None:
        return None
    return refused(disk, device, judgement, f"{hint} No consent makes this module touch such a disk.")


def content_problem(
    disk: WantedDisk, device: Device, judgement: Judgement, group: str, consent: Optional[Consent], node: Node
) -> Optional[CollError]:
    """Why what lies on a disk speaks against making it part of ``group``; None when nothing does."""
    if judgement.verdict == model.BLANK:
        return None
    if disk.layout == RAW:
        if judgement.findings and all(finding.type == BLUESTORE for finding in judgement.findings):
            return None  # what a raw disk looks like once Ceph has taken it
        return refused(disk, device, judgement, "A raw disk is handed over as it is, never erased. Erase it yourself.")
    if judgement.layout not in ("", disk.layout):
        hint = f"Its layout is {judgement.layout}. Name it so, or remove what is on it first with state: absent."
        return refused(disk, device, judgement, hint)
    if judgement.verdict in (model.OURS, model.INCOMPLETE) and judgement.group not in ("", group):
        return refused(disk, device, judgement, f"Name it in that group, not in {group}.")
    if judgement.verdict == model.OURS:
        return None
    if not judgement.findings:
        return None if judgement.verdict == model.INCOMPLETE else refused(disk, device, judgement, "")
    if consent is not None and remembered(judgement, consent, node):
        return None
    return erase_problem(disk, device, judgement, consent)


def erase_problem(disk: WantedDisk, device: Device, judgement: Judgement, consent: Optional[Consent]) -> Optional[CollError]:
    """Why the consent does not cover what lies on a disk; None when it does."""
    fsids = f", osd_fsids: [{', '.join(judgement.osds)}]" if judgement.osds else ""
    entry = f"consent: {{wipe: [{{id: {disk.id}, seen: {judgement.seen}{fsids}}}]}}"
    safe = " and Ceph says the OSD is safe to destroy" if judgement.osds else ""
    if consent is None:
        return refused(disk, device, judgement, f"If all of it may be destroyed{safe}, add `{entry}` to the task.")
    if consent.seen != judgement.seen:
        what = f"The consent was given for other findings (seen: {consent.seen}); these are {judgement.seen}."
        return refused(disk, device, judgement, f"{what} Look at the disk again before consenting to them.")
    unnamed = [fsid for fsid in judgement.osds if fsid.lower() not in consent.osd_fsids]
    if unnamed:
        what = f"It counts as live until the consent names its OSD fsid {', '.join(unnamed)}."
        return refused(disk, device, judgement, f"{what} If Ceph says it is safe to destroy, give `{entry}`.")
    return None


def remembered(judgement: Judgement, consent: Consent, node: Node) -> bool:
    """Whether all that is left is inside new volumes that were made under this very consent by a run that was ended."""
    tag = tags.wipe_tag(consent.seen)
    holding = [node.volumes.get(finding.on) for finding in judgement.findings]
    return all(volume is not None and tag in volume.tags for volume in holding)


def is_given(judgement: Judgement, consent: Optional[Consent], node: Node) -> bool:
    """Whether a consent was given for what lies on a disk now."""
    if consent is None:
        return False
    return consent.seen == judgement.seen or (bool(judgement.findings) and remembered(judgement, consent, node))


def refused(disk: WantedDisk, device: Device, judgement: Judgement, hint: str) -> Refused:
    """A refusal that names the disk and says what it is."""
    facts: Mapping[str, object] = {"verdict": judgement.verdict, "seen": judgement.seen, "osd_fsids": list(judgement.osds)}
    return Refused(f"disk {disk.id} ({describe(device)}) {judgement.reason}.", hint=hint, **facts)
