# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of rbac_grant in a process of its own that is ended, or that a second writer gets between, at a chosen request.

Standard input: ``{"params": …, "die_before": [METHOD, fragment], "die_after": …, "meddle": {"at": …, "patch": …}}``, or
``"end_server": {"at": …, "after": requests, "pid": …, "signal": …}``. All is real but the moment. Prints the entries as JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from typing import Any, Optional

from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import CollError
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import carry_out, entry_dict, settle
from ansible_collections.kubestead.platform.plugins.modules.rbac_grant import wire


def is_meant(at: Optional[list[str]], method: str, path: str) -> bool:
    return at is not None and method == at[0] and at[1] in path


def kube_window(task: dict[str, Any]) -> int:
    """How many requests may be under way unanswered."""
    return int(task["params"]["concurrency"])


def main() -> None:
    task = json.load(sys.stdin)
    flow = wire(task["params"])
    kube: Any = flow._api
    original, meddle, ending = kube.call, task.get("meddle") or {}, task.get("end_server") or {}
    sent = itertools.count(1)

    def call(method: str, path: str, body: Any = None, query: Any = None) -> Any:
        if is_meant(task.get("die_before"), method, path):
            os.kill(os.getpid(), signal.SIGKILL)
        if is_meant(meddle.get("at"), method, path) and meddle.get("times", 1) > 0:
            meddle["times"] = meddle.get("times", 1) - 1
            original(meddle["with"], path, meddle.get("patch"))
        if is_meant(ending.get("at"), method, path) and next(sent) == ending["after"] + kube_window(task):
            os.kill(ending["pid"], ending["signal"])
        answer = original(method, path, body, query)
        if is_meant(task.get("die_after"), method, path):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    kube.call = call
    try:
        run = carry_out(flow.decide(flow.observe()), flow.execute, stop_on_error=flow.stop_on_error)
    except CollError as exc:
        sys.exit(exc.sentence())
    print(json.dumps([entry_dict(verdict) for verdict in settle(run)]))


if __name__ == "__main__":
    main()
