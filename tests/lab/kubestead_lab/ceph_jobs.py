# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In the kubelet's place, for pods of Jobs that talk to Ceph: those with Rook's key of the administrator among their volumes.

Of a pod it takes the command of its one container, its environment, the files of its Secrets below /etc/ceph, and the message it
leaves. It is run beside Ceph's programs on the first node that has them.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Mapping
from typing import Any

from kubestead_lab.ceph_nodes import ENTER, CommandFailed, Host
from kubestead_lab.ceph_objects import NOTE
from kubestead_lab.kube_http import ApiError, KubeHttp
from kubestead_lab.progress import say
from kubestead_lab.remote import Away

_KEY = "rook-ceph-admin-keyring"
_MESSAGE = "/dev/termination-log"
_LIMIT = 4096
# Prints the exit code, then the message; nothing while the pod runs.
_LOOK = f"[ -e $1/code ] && cat $1/code && head -c {_LIMIT} {_MESSAGE}; true"
_RUN = """\
: >{message}; chmod 666 {message}
{environment}
code=0; {enter} {command} >{folder}/log 2>&1 || code=$?
[ -s {message} ] || tail -c 2000 {folder}/log >{message}
echo "$code" >{folder}/code.new; mv {folder}/code.new {folder}/code
"""


class Jobs:
    """One at a time, since they share the place of the message."""

    def __init__(self, api: KubeHttp, hosts: Mapping[str, Host]) -> None:
        self._api, self._hosts = api, hosts
        self._complaint = ""

    def look(self) -> None:
        """One look: a pod that has ended is told, and the next one begins."""
        pods = [pod for pod in self._api.items("/api/v1/pods?labelSelector=job-name") if self._is_meant(pod)]
        for pod in pods:
            if "deletionTimestamp" in pod["metadata"]:
                self._end(pod)
        alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        running = [pod for pod in alive if pod["status"].get("phase") == "Running"]
        waiting = [pod for pod in alive if pod["status"].get("phase") == "Pending"]
        try:
            if running:
                self._tell_end(running[0])
            elif waiting:
                self._begin(min(waiting, key=lambda pod: str(pod["metadata"]["creationTimestamp"])))
        except (ApiError, Away, CommandFailed) as problem:
            # As with a kubelet, the pod waits until what it needs is there.
            if str(problem) != self._complaint:
                self._complaint = str(problem)
                say(f"a Job's pod waits: {problem}")

    @staticmethod
    def _is_meant(pod: Mapping[str, Any]) -> bool:
        return any((one.get("secret") or {}).get("secretName") == _KEY for one in pod["spec"].get("volumes") or [])

    @staticmethod
    def _path(pod: Mapping[str, Any]) -> str:
        return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"

    @staticmethod
    def _folder(pod: Mapping[str, Any]) -> str:
        return f"/run/lab-job-{pod['metadata']['uid']}"

    @staticmethod
    def _unit(pod: Mapping[str, Any]) -> str:
        return f"lab-job-{pod['metadata']['uid']}"

    def _begin(self, pod: Mapping[str, Any]) -> None:
        name = next((name for name in sorted(self._hosts) if self._has_ceph(self._hosts[name])), None)
        if name is None:
            return
        host, container, folder = self._hosts[name], pod["spec"]["containers"][0], self._folder(pod)
        self._bind(pod, name)
        self._clean(pod, host)  # what an earlier life of this program began
        self._mount(host, pod, container)
        words = {one["name"]: self._value(pod, one) for one in container.get("env") or []}
        for key, value in words.items():
            words[key] = re.sub(r"\$\((\w+)\)", lambda match: words.get(match[1], match[0]), value)
        script = _RUN.format(
            message=_MESSAGE,
            environment="\n".join(f"export {key}={shlex.quote(value)}" for key, value in words.items()),
            enter=ENTER,
            command=shlex.join(container["command"]),
            folder=folder,
        )
        host.run("mkdir", "-p", folder)
        host.run("tee", f"{folder}/run", stdin=script)
        say(f"{name}: {pod['metadata']['name']}")
        host.run("systemd-run", "--quiet", "--collect", f"--unit={self._unit(pod)}", "bash", f"{folder}/run")
        self._tell(pod, {"running": {}}, "Running")

    @staticmethod
    def _has_ceph(host: Host) -> bool:
        try:
            return bool(host.run("sh", "-c", f"test -x {ENTER} && echo yes; true", timeout=15))
        except (Away, CommandFailed):
            return False

    def _bind(self, pod: Mapping[str, Any], node: str) -> None:
        if not pod["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": node}
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]}, "target": target}
            self._api.call("POST", f"{self._path(pod)}/binding", binding)

    def _secret(self, pod: Mapping[str, Any], name: str) -> dict[str, str]:
        found = self._api.call("GET", f"/api/v1/namespaces/{pod['metadata']['namespace']}/secrets/{name}")
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    def _value(self, pod: Mapping[str, Any], one: Mapping[str, Any]) -> str:
        if "value" in one:
            return str(one["value"])
        wanted = one["valueFrom"]["secretKeyRef"]
        return self._secret(pod, wanted["name"])[wanted["key"]]

    def _mount(self, host: Host, pod: Mapping[str, Any], container: Mapping[str, Any]) -> None:
        """The Secrets of volumes, where the container has them."""
        secrets = {one["name"]: one["secret"]["secretName"] for one in pod["spec"]["volumes"] if "secret" in one}
        for mount in container.get("volumeMounts") or []:
            host.ceph("mkdir", "-p", mount["mountPath"])
            for key, text in self._secret(pod, secrets[mount["name"]]).items():
                host.ceph("tee", f"{mount['mountPath']}/{key}", stdin=text)

    def _tell_end(self, pod: Mapping[str, Any]) -> None:
        host = self._hosts[pod["spec"]["nodeName"]]
        told = host.run("bash", "-c", _LOOK, "bash", self._folder(pod))
        if told:
            code, _line, message = told.partition("\n")
            state = {"terminated": {"exitCode": int(code), "message": message, "reason": "Error" if int(code) else "Completed"}}
            self._tell(pod, state, "Failed" if int(code) else "Succeeded")
            self._clean(pod, host)

    def _tell(self, pod: Mapping[str, Any], state: Mapping[str, Any], phase: str) -> None:
        container = pod["spec"]["containers"][0]
        runs = phase == "Running"
        told = {"name": container["name"], "image": container["image"], "imageID": "", "ready": runs, "restartCount": 0}
        status = {"phase": phase, "message": NOTE, "containerStatuses": [{**told, "state": state}]}
        self._api.merge(f"{self._path(pod)}/status", {"status": status})

    def _end(self, pod: Mapping[str, Any]) -> None:
        """A deleted pod waits for its kubelet."""
        if pod["spec"].get("nodeName"):
            self._clean(pod, self._hosts[pod["spec"]["nodeName"]])
        self._api.call("DELETE", self._path(pod), {"gracePeriodSeconds": 0})

    def _clean(self, pod: Mapping[str, Any], host: Host) -> None:
        host.stop(self._unit(pod))
        host.run("rm", "-rf", self._folder(pod))
