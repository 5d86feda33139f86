# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the API server is and who we are there: from a module's options, kubeconfig files or the pod we run in.

Kubeconfigs with fixed credentials are read here, because importing the ``kubernetes`` library takes longer than the
whole work of a small task; that library is loaded only for logins that need its plugins (``exec``, ``auth-provider``).
"""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

from .._core.errors import BackendFailed, BadInput

with contextlib.suppress(ImportError):  # said in words by deps.need
    import yaml

_POD_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_DEFAULT_FILE = "~/.kube/config"
_SECTIONS = ("clusters", "users", "contexts")


@dataclass(frozen=True)
class KubeLogin:
    """Everything a connection needs. Certificates and keys are PEM text; secrets stay out of ``repr``."""

    server: str
    ca: Optional[str] = None
    cert: Optional[str] = None
    key: Optional[str] = field(default=None, repr=False)
    token: Optional[str] = field(default=None, repr=False)
    basic: Optional[tuple[str, str]] = field(default=None, repr=False)
    verify: bool = True
    server_name: Optional[str] = None
    proxy: Optional[str] = field(default=None, repr=False)
    no_proxy: str = ""
    proxy_headers: Mapping[str, Optional[str]] = field(default_factory=dict, repr=False)
    act_as: Optional[str] = None
    act_as_groups: tuple[str, ...] = ()
    source: str = "the options"


def login_from_params(params: Mapping[str, Any], environ: Optional[Mapping[str, str]] = None) -> KubeLogin:
    """The login that a module's connection options describe, with the precedence of kubernetes.core."""
    environ = os.environ if environ is None else environ
    host = (params.get("host") or "").rstrip("/")
    cert = params.get("client_cert") or params.get("client_cert_content")
    key = params.get("client_key") or params.get("client_key_content")
    complete = (params.get("username") and params.get("password")) or params.get("api_key") or (cert and key)
    if host and complete:
        login = KubeLogin(server=host)
    elif params.get("kubeconfig") or params.get("context"):
        login = _from_files(params.get("kubeconfig"), params.get("context"), params.get("persist_config"), environ)
    else:
        login = _from_pod(environ) or _from_files(None, None, params.get("persist_config"), environ)
    return _with_options(login, params, host)


def login_from_kubeconfig(config: Mapping[str, Any], context: Optional[str] = None, *, folder: str = "") -> KubeLogin:
    """The login of a kubeconfig given as a value; relative paths in it start at ``folder``.

    A user entry that runs a command (``exec``, ``auth-provider``) is refused: the kubeconfig may be another person's.
    """
    merged = _merge([(config, folder)], "the kubeconfig")
    login = _login(merged, context)
    if login is None:
        raise BackendFailed(
            "The kubeconfig logs in by a command (exec or auth-provider), which is not run here.",
            hint="Only certificates, tokens and passwords can be checked.",
            status=0,
            reason="CommandLogin",
        )
    return login


def _with_options(login: KubeLogin, params: Mapping[str, Any], host: str) -> KubeLogin:
    """Options of the task win over what the kubeconfig says."""
    change: dict[str, Any] = {
        "server": host,
        "ca": _pem_option(params, "ca_cert"),
        "cert": _pem_option(params, "client_cert"),
        "key": _pem_option(params, "client_key"),
        "token": params.get("api_key"),
        "act_as": params.get("impersonate_user"),
        "act_as_groups": tuple(params.get("impersonate_groups") or ()),
        "proxy": params.get("proxy"),
        "no_proxy": params.get("no_proxy"),
        "proxy_headers": params.get("proxy_headers"),
    }
    if params.get("username") and params.get("password"):
        change["basic"] = (params["username"], params["password"])
    given = {name: value for name, value in change.items() if value}
    if params.get("validate_certs") is not None:
        given["verify"] = bool(params["validate_certs"])
    return replace(login, **given)


def _pem_option(params: Mapping[str, Any], name: str) -> Optional[str]:
    path = params.get(name)
    return _read_text(Path(path), name) if path else params.get(f"{name}_content")


def _from_pod(environ: Mapping[str, str]) -> Optional[KubeLogin]:
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    token_file, ca_file = _POD_FOLDER / "token", _POD_FOLDER / "ca.crt"
    if not host or not port or not token_file.is_file() or not ca_file.is_file():
        return None
    return KubeLogin(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        ca=_read_text(ca_file, "the pod's CA"),
        token=_read_text(token_file, "the pod's token").strip(),
        source="the service account of this pod",
    )


def _from_files(kubeconfig: Any, context: Optional[str], persist: Any, environ: Mapping[str, str]) -> KubeLogin:
    if isinstance(kubeconfig, Mapping):
        return _login(_merge([(kubeconfig, "")], "kubeconfig"), context) or _by_library(kubeconfig, context, persist)
    joined = str(kubeconfig) if kubeconfig else environ.get("KUBECONFIG") or _DEFAULT_FILE
    paths = [Path(part).expanduser() for part in joined.split(os.pathsep) if part]
    found = [path for path in paths if path.exists()]
    if not found:
        raise BadInput(
            f"No kubeconfig at {joined} and no other complete login in the options.",
            hint="Set kubeconfig, or host with api_key, or host with client_cert and client_key.",
        )
    files = [(_read_yaml(path), str(path.absolute().parent)) for path in found]
    return _login(_merge(files, joined), context) or _by_library(os.pathsep.join(map(str, found)), context, persist)


@dataclass(frozen=True)
class _Merged:
    """Sections of all files, the first mention of a name winning as in kubectl, each with the folder of its file."""

    name: str
    sections: Mapping[str, Mapping[str, tuple[Mapping[str, Any], str]]]
    current: str


def _merge(files: Sequence[tuple[Any, str]], name: str) -> _Merged:
    sections: dict[str, dict[str, tuple[Mapping[str, Any], str]]] = {section: {} for section in _SECTIONS}
    current = ""
    for config, folder in files:
        if not isinstance(config, Mapping):
            raise BadInput(f"{name} is not a kubeconfig.", hint="It must be a mapping with clusters, users and contexts.")
        current = current or str(config.get("current-context") or "")
        for section, entries in sections.items():
            for entry in config.get(section) or []:
                if not isinstance(entry, Mapping) or "name" not in entry:
                    raise BadInput(f"{name}: an entry under {section} has no name.")
                entries.setdefault(str(entry["name"]), (entry.get(section[:-1]) or {}, folder))
    return _Merged(name, sections, current)


def _pick(merged: _Merged, section: str, name: str, wanted_by: str) -> tuple[Mapping[str, Any], str]:
    entries = merged.sections[section]
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise BadInput(f"{merged.name} has no {section[:-1]} {name!r}, which {wanted_by} names.", hint=f"It has: {known}.")
    return entries[name]


def _login(merged: _Merged, context: Optional[str]) -> Optional[KubeLogin]:
    """The login of a context, or None when its user logs in by a command."""
    name = context or merged.current
    if not name:
        raise BadInput(f"{merged.name} has no current-context.", hint="Set the option context.")
    chosen, _folder = _pick(merged, "contexts", name, "the option context" if context else "current-context")
    cluster, cluster_folder = _pick(merged, "clusters", str(chosen.get("cluster")), f"context {name!r}")
    user, folder = _pick(merged, "users", str(chosen.get("user")), f"context {name!r}")
    if not cluster.get("server"):
        raise BadInput(f"{merged.name}: cluster {chosen.get('cluster')!r} has no server.")
    if user.get("exec") or user.get("auth-provider"):
        return None
    token = user.get("token")
    if not token and user.get("tokenFile"):
        token = _read_text(Path(folder, str(user["tokenFile"])), "tokenFile").strip()
    basic = (str(user["username"]), str(user["password"])) if user.get("username") and user.get("password") else None
    return KubeLogin(
        server=str(cluster["server"]).rstrip("/"),
        ca=_pem(cluster, "certificate-authority", cluster_folder),
        cert=_pem(user, "client-certificate", folder),
        key=_pem(user, "client-key", folder),
        token=str(token) if token else None,
        basic=basic,
        verify=not cluster.get("insecure-skip-tls-verify", False),
        server_name=cluster.get("tls-server-name"),
        proxy=cluster.get("proxy-url"),
        act_as=user.get("as"),
        act_as_groups=tuple(user.get("as-groups") or ()),
        source=f"context {name!r} of {merged.name}",
    )


def _pem(entry: Mapping[str, Any], name: str, folder: str) -> Optional[str]:
    data = entry.get(f"{name}-data")
    if data:
        try:
            return base64.b64decode(str(data), validate=False).decode("ascii")
        except ValueError:
            raise BadInput(f"{name}-data of the kubeconfig is not PEM in base64.") from None
    return _read_text(Path(folder, str(entry[name])), name) if entry.get(name) else None


def _read_text(path: Path, what: str) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not a text file"
        raise BadInput(f"{what}: cannot read {path}: {reason}.") from None


def _read_yaml(path: Path) -> Any:
    text = _read_text(path, "kubeconfig")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise BadInput(f"kubeconfig: {path} is not valid YAML{where}.") from None


def _by_library(kubeconfig: Any, context: Optional[str], persist: Any) -> KubeLogin:
    """A login by command, carried out by the ``kubernetes`` library."""
    try:
        from kubernetes.client import Configuration
        from kubernetes.config import load_kube_config, load_kube_config_from_dict
    except ImportError:
        raise BackendFailed(
            "This kubeconfig logs in by a command, for which the Python library kubernetes is needed.",
            hint="Install kubernetes >= 24.2 for the interpreter that runs the module.",
        ) from None
    loaded = Configuration()
    target: dict[str, Any] = {"context": context, "client_configuration": loaded, "persist_config": bool(persist)}
    try:
        if isinstance(kubeconfig, Mapping):
            load_kube_config_from_dict(config_dict=dict(kubeconfig), **target)
        else:
            load_kube_config(config_file=kubeconfig, **target)
    except Exception as exc:  # noqa: BLE001 - plugins fail with any type, and their text may hold secrets
        raise BackendFailed(
            f"The kubeconfig's login command failed ({type(exc).__name__}).", hint="Try the same context with kubectl."
        ) from None
    bearer = loaded.api_key.get("BearerToken") or loaded.api_key.get("authorization") or ""
    return KubeLogin(
        server=str(loaded.host).rstrip("/"),
        ca=_read_text(Path(loaded.ssl_ca_cert), "certificate-authority") if loaded.ssl_ca_cert else None,
        cert=_read_text(Path(loaded.cert_file), "client-certificate") if loaded.cert_file else None,
        key=_read_text(Path(loaded.key_file), "client-key") if loaded.key_file else None,
        token=bearer.partition(" ")[2] or None,
        verify=bool(loaded.verify_ssl),
        server_name=getattr(loaded, "tls_server_name", None),
        proxy=loaded.proxy,
        source="the kubeconfig's login command",
    )
