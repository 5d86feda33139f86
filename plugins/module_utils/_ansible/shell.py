# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell every module runs in, and the only place that ends a process.

Check mode, diff, partial failure and the way from an error to a result are written here, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from .._core.errors import BadInput, Bug, CollError
from .._core.plan import Verdict, render_diff
from .._core.run import Flow, Run, carry_out, count, entry_dict, settle

_NAMED_IN_MESSAGE = 3


def converge(module: AnsibleModule, wire: Callable[[dict[str, Any]], Flow]) -> None:
    """Wire a flow from the parameters, run it, and end the module with its result."""
    try:
        _check_bulk_options(module.params)
        flow = wire(module.params)
        plan = flow.decide(flow.observe())
        if module.check_mode:
            run = Run(plan)
        else:
            run = carry_out(plan, flow.execute, stop_on_error=flow.stop_on_error)
    except CollError as exc:
        _fail_before_writing(module, exc)
    except Exception as exc:
        _fail_before_writing(module, Bug.from_exception(exc))
    else:
        _finish(module, run, flow.report(run))


def _check_bulk_options(params: Mapping[str, Any]) -> None:
    """What an argument specification cannot say."""
    if params.get("concurrency") is not None and params["concurrency"] < 1:
        raise BadInput(f"concurrency is {params['concurrency']}.", hint="At least one entry has to be written at a time.")


def _fail_before_writing(module: AnsibleModule, error: CollError) -> None:
    """Whatever happens while a plan is carried out becomes an outcome of its steps; here nothing has been written."""
    module.fail_json(msg=error.sentence(), error=error.as_dict(), changed=False)


def _finish(module: AnsibleModule, run: Run, extra: Mapping[str, object]) -> None:
    verdicts = settle(run)
    entries = [entry_dict(verdict) for verdict in verdicts]
    for warning in run.plan.warnings:
        module.warn(warning)
    result: dict[str, object] = {"changed": bool(run.done), "entries": entries, "counts": count(entries), **extra}
    if module._diff:
        result["diff"] = render_diff(run.done)
    failed = [verdict for verdict in verdicts if verdict.error is not None]
    if failed:
        module.fail_json(msg=_failure_message(failed, len(entries)), **result)
    module.exit_json(**result)


def _failure_message(failed: Sequence[Verdict], total: int) -> str:
    told = [f"{verdict.name}: {verdict.error.sentence()}" for verdict in failed[:_NAMED_IN_MESSAGE] if verdict.error]
    more = f" (and {len(failed) - _NAMED_IN_MESSAGE} more)" if len(failed) > _NAMED_IN_MESSAGE else ""
    if total == 1:
        return told[0]
    return f"{len(failed)} of {total} entries failed. {' '.join(told)}{more}"
