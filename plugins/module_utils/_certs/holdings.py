# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates that people hold, out of files, Secrets, requests and the ledger."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Optional, Union

from .._core.access import Credential, OpenRequest
from .certificate import Unreadable, common_names, groups_of, read_certificate
from .request import standing
from .wanted import optional_text

try:
    from cryptography import x509
except ImportError:  # said in words by need("cryptography") before any of this is used
    pass

_KUBELETS = ("kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def credential_of(pem: Union[str, bytes], found_in: str, place: str) -> Credential:
    """A certificate as somebody holds it; raises Unreadable."""
    found = read_certificate(pem)
    return Credential(
        holder=found.name,
        groups=found.groups,
        not_before=found.not_before,
        not_after=found.not_after,
        serial=found.serial,
        credential_id=found.credential_id,
        found_in=(found_in,),
        place=place,
    )


def credential_of_line(line: Mapping[str, Any], place: str) -> Optional[Credential]:
    """A line of the ledger; None when it is damaged."""
    begin, end = _seconds(line.get("not_before")), _seconds(line.get("not_after"))
    groups = line.get("groups")
    if begin is None or end is None or not isinstance(line.get("name"), str) or not isinstance(groups, list):
        return None
    return Credential(
        holder=line["name"],
        groups=tuple(str(group) for group in groups),
        not_before=begin,
        not_after=end,
        serial=str(line.get("serial")),
        credential_id=str(line["credential_id"]),
        found_in=("ledger",),
        place=place,
    )


def _seconds(text: object) -> Optional[int]:
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        return None
    try:
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp())
    except ValueError:
        return None


def of_request(obj: Mapping[str, Any]) -> Union[Credential, OpenRequest, None]:
    """What a request on the server means for somebody's access; None for those of kubelets and those that came to nothing.

    Raises Unreadable.
    """
    spec, name = obj.get("spec") or {}, str(obj["metadata"]["name"])
    if spec.get("signerName") in _KUBELETS:
        return None
    stands = standing(obj)
    if stands.word == "issued":
        return credential_of(stands.certificate_pem or "", "request", name)
    if stands.word not in ("pending", "approved"):
        return None
    holder, groups = _subject_of(str(spec.get("request") or ""))
    return OpenRequest(name, holder, groups, stands.word)


def _subject_of(request: str) -> tuple[str, tuple[str, ...]]:
    try:
        subject = x509.load_pem_x509_csr(base64.b64decode(request)).subject
        return optional_text((common_names(subject) or [""])[0], 256), groups_of(subject)
    except Exception as exc:  # what is no request may break the codec in ways it does not document
        raise Unreadable(f"not a request: {type(exc).__name__}") from exc


def joined(found: Iterable[Credential], now: int) -> tuple[Credential, ...]:
    """Each certificate once, with all places it was found in. What ended counts only where it lies as the present one."""
    by_id: dict[str, Credential] = {}
    for one in found:
        before = by_id.get(one.credential_id)
        if before is not None:
            one = replace(before, found_in=tuple(dict.fromkeys((*before.found_in, *one.found_in))))
        by_id[one.credential_id] = one
    lying = ("file", "secret")
    return tuple(one for one in by_id.values() if one.not_after > now or any(where in lying for where in one.found_in))
