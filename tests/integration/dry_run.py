# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends objects to the API server as a dry run that refuses unknown fields. Runs inside the lab.

Standard input: ``{"name": [object, …], …}``; standard output: ``{"name": [complaint, …], …}``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from ansible_collections.kubestead.platform.plugins.module_utils._adapters.kube_api import KubeApiClient
from ansible_collections.kubestead.platform.plugins.module_utils._core.errors import CollError

PLURALS = {"StorageClass": "storageclasses", "Ingress": "ingresses"}


def collection(thing: Mapping[str, Any]) -> str:
    group = thing["apiVersion"]
    base = f"/apis/{group}" if "/" in group else f"/api/{group}"
    namespace = thing["metadata"].get("namespace")
    plural = PLURALS.get(thing["kind"], f"{thing['kind'].lower()}s")
    return f"{base}/namespaces/{namespace}/{plural}" if namespace else f"{base}/{plural}"


def complaints(api: KubeApiClient, objects: list[dict[str, Any]]) -> list[str]:
    told = []
    for thing in objects:
        try:
            api.call("POST", collection(thing), thing, {"dryRun": "All", "fieldValidation": "Strict"})
        except CollError as exc:
            told.append(f"{thing['kind']} {thing['metadata']['name']}: {exc.sentence()}")
    return told


def main() -> None:
    api = KubeApiClient.from_params({"kubeconfig": os.environ["KUBECONFIG"]})
    print(json.dumps({name: complaints(api, objects) for name, objects in json.load(sys.stdin).items()}))


if __name__ == "__main__":
    main()
