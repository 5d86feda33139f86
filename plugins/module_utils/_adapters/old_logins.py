# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging in with somebody's old kubeconfig, at the server it names or at others."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .._core.errors import BadInput
from .kube_api import KubeApiClient
from .kube_login import login_from_kubeconfig
from .secret_file import SecretFiles

with contextlib.suppress(ImportError):  # said in words by deps.need
    import yaml


class OldLogins:
    """``servers``: URLs of the API servers to try; none means the one that the kubeconfig names. It runs no command."""

    def __init__(self, servers: Sequence[str], *, timeout: float = 10.0) -> None:
        self._servers = tuple(servers)
        self._timeout = timeout
        self._files = SecretFiles()

    def exists(self, path: str) -> bool:
        """Whether the kubeconfig is there."""
        return self._files.read(path) is not None

    def open(self, path: str) -> Sequence[KubeApiClient]:
        """A client for each server. Keys are read now, so the files may go afterwards."""
        login = login_from_kubeconfig(self._parsed(path), folder=os.path.dirname(os.path.abspath(path)))
        return [
            KubeApiClient(replace(login, server=server), timeout=self._timeout, repeats=False)
            for server in self._servers or (login.server,)
        ]

    def _parsed(self, path: str) -> Any:
        try:
            config = yaml.safe_load(self._files.read(path) or b"")
        except yaml.YAMLError:
            config = None
        if not isinstance(config, dict):
            raise BadInput(f"{path} is not a kubeconfig.")
        return config
