# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of k8s_user_cert in a process of its own that can be ended, or that somebody can get between, at a chosen point.

Standard input: ``{"params": …, "die_after": stage, "swap": spec, "report": bool}``. Everything is real but the moment.
"""

from __future__ import annotations

import copy
import json
import os
import signal
import sys
from typing import Any

from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import CollError
from ansible_collections.kubestead.platform.plugins.module_utils._core.plan import Stage
from ansible_collections.kubestead.platform.plugins.module_utils._core.run import carry_out, entry_dict, settle
from ansible_collections.kubestead.platform.plugins.module_utils._flows.k8s_user_cert import REQUESTS
from ansible_collections.kubestead.platform.plugins.modules.k8s_user_cert import wire


def get_between(kube: Any, spec: dict[str, Any]) -> None:
    """Right after a request was created, replace it by one with another spec, as a person with that right could."""
    original = kube.call

    def call(method: str, path: str, body: Any = None, query: Any = None) -> Any:
        answer = original(method, path, body, query)
        if method == "POST" and path == REQUESTS:
            twin = copy.deepcopy(body)
            twin["spec"].update(spec)
            original("DELETE", f"{path}/{answer['metadata']['name']}")
            original("POST", path, twin)
        return answer

    kube.call = call


def main() -> None:
    task = json.load(sys.stdin)
    flow = wire(task["params"])
    if task.get("swap") is not None:
        get_between(flow._out.kube, task["swap"])

    def execute(stage: Stage) -> Any:
        outcomes = list(flow.execute(stage))
        if stage.name == task.get("die_after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return outcomes

    try:
        run = carry_out(flow.decide(flow.observe()), execute, stop_on_error=flow.stop_on_error)
    except CollError as exc:
        sys.exit(exc.sentence())
    print(json.dumps([entry_dict(verdict) for verdict in settle(run)]))


if __name__ == "__main__":
    main()
