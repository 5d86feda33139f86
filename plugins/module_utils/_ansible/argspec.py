# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Option groups that modules share, and the one way to build a module from them.

Each group has a documentation fragment that says the same in words; a test compares the two.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule

Spec = Mapping[str, Mapping[str, Any]]
Rule = tuple[str, ...]

_FALSE_WORDS = ("0", "false", "no")
_PROXY_HEADERS = ("proxy_basic_auth", "basic_auth", "user_agent")


@dataclass(frozen=True)
class OptionGroup:
    """Options that belong together, with the rules between them.

    ``environment`` names, per option, the variables that stand in when the task does not set it; the first that is not
    empty counts. ``yields_to`` names, per option, the option whose presence in the task makes its variable be ignored.
    """

    options: Spec
    mutually_exclusive: Sequence[Rule] = ()
    required_together: Sequence[Rule] = ()
    required_by: Mapping[str, Rule] = field(default_factory=dict)
    environment: Mapping[str, Rule] = field(default_factory=dict)
    yields_to: Mapping[str, str] = field(default_factory=dict)


KUBE_AUTH_SPEC = OptionGroup(
    options={
        "kubeconfig": {"type": "raw"},
        "context": {"type": "str"},
        "host": {"type": "str"},
        "api_key": {"type": "str", "no_log": True},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "validate_certs": {"type": "bool", "aliases": ["verify_ssl"]},
        "ca_cert": {"type": "path", "aliases": ["ssl_ca_cert"]},
        "client_cert": {"type": "path", "aliases": ["cert_file"]},
        "client_key": {"type": "path", "aliases": ["key_file"], "no_log": False},
        "ca_cert_content": {"type": "str"},
        "client_cert_content": {"type": "str"},
        "client_key_content": {"type": "str", "no_log": True},
        "proxy": {"type": "str"},
        "no_proxy": {"type": "str"},
        "proxy_headers": {
            "type": "dict",
            "options": {
                "proxy_basic_auth": {"type": "str", "no_log": True},
                "basic_auth": {"type": "str", "no_log": True},
                "user_agent": {"type": "str"},
            },
        },
        "persist_config": {"type": "bool"},
        "impersonate_user": {"type": "str"},
        "impersonate_groups": {"type": "list", "elements": "str"},
    },
    mutually_exclusive=(
        ("ca_cert", "ca_cert_content"),
        ("client_cert", "client_cert_content"),
        ("client_key", "client_key_content"),
    ),
    environment={
        "kubeconfig": ("K8S_AUTH_KUBECONFIG",),
        "context": ("K8S_AUTH_CONTEXT",),
        "host": ("K8S_AUTH_HOST",),
        "api_key": ("K8S_AUTH_API_KEY",),
        "username": ("K8S_AUTH_USERNAME",),
        "password": ("K8S_AUTH_PASSWORD",),
        "validate_certs": ("K8S_AUTH_VALIDATE_CERTS", "K8S_AUTH_VERIFY_SSL"),
        "ca_cert": ("K8S_AUTH_CA_CERT", "K8S_AUTH_SSL_CA_CERT"),
        "client_cert": ("K8S_AUTH_CLIENT_CERT", "K8S_AUTH_CERT_FILE"),
        "client_key": ("K8S_AUTH_CLIENT_KEY", "K8S_AUTH_KEY_FILE"),
        "proxy": ("K8S_AUTH_PROXY",),
        "no_proxy": ("K8S_AUTH_NO_PROXY",),
        "proxy_headers": tuple(f"K8S_AUTH_PROXY_HEADERS_{name.upper()}" for name in _PROXY_HEADERS),
        "persist_config": ("K8S_AUTH_PERSIST_CONFIG",),
        "impersonate_user": ("K8S_AUTH_IMPERSONATE_USER",),
        "impersonate_groups": ("K8S_AUTH_IMPERSONATE_GROUPS",),
    },
    yields_to={
        "ca_cert": "ca_cert_content",
        "client_cert": "client_cert_content",
        "client_key": "client_key_content",
    },
)

LDAP_AUTH_SPEC = OptionGroup(
    options={
        "server_uri": {"type": "list", "elements": "str", "default": ["ldapi:///"]},
        "bind_dn": {"type": "str"},
        "bind_pw": {"type": "str", "no_log": True},
        "bind_pw_file": {"type": "path", "no_log": False},
        "sasl_class": {"type": "str", "choices": ["external"], "default": "external"},
        "start_tls": {"type": "bool", "default": False},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "client_cert": {"type": "path"},
        "client_key": {"type": "path", "no_log": False},
        "timeout": {"type": "int", "default": 30},
        "allow_plaintext": {"type": "bool", "default": False},
    },
    mutually_exclusive=(("bind_pw", "bind_pw_file"),),
    required_together=(("client_cert", "client_key"),),
    required_by={"bind_pw": ("bind_dn",), "bind_pw_file": ("bind_dn",)},
)

BULK_SPEC = OptionGroup(
    options={
        "concurrency": {"type": "int", "default": 8},
        "on_error": {"type": "str", "choices": ["stop", "continue"], "default": "stop"},
    },
)

STATE_SPEC = OptionGroup(
    options={"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}},
)

CEPH_CLUSTER_SPEC = OptionGroup(
    options={
        "namespace": {"type": "str", "default": "rook-ceph"},
        "name": {"type": "str", "default": "rook-ceph"},
        "operator_namespace": {"type": "str"},
    }
)

SECRET_FILE_SPEC = OptionGroup(options={"owner": {"type": "str"}, "group": {"type": "str"}})


def new_module(*groups: OptionGroup, spec: Optional[Spec] = None, **rules: Any) -> AnsibleModule:
    """The module made of shared groups and its own ``spec``; ``rules`` are AnsibleModule's own arguments."""
    options: dict[str, Mapping[str, Any]] = {}
    for part in (*(group.options for group in groups), spec or {}):
        twice = options.keys() & part.keys()
        if twice:
            raise ValueError(f"options declared twice: {', '.join(sorted(twice))}")
        options.update(part)
    module = AnsibleModule(
        argument_spec=options,
        mutually_exclusive=_joined((group.mutually_exclusive for group in groups), rules.pop("mutually_exclusive", ())),
        required_together=_joined((group.required_together for group in groups), rules.pop("required_together", ())),
        required_by=_merged((group.required_by for group in groups), rules.pop("required_by", {})),
        supports_check_mode=rules.pop("supports_check_mode", True),
        **rules,
    )
    for group in groups:
        found = read_environment(group, module.params, os.environ)
        module.params.update(found)
        module.no_log_values.update(_secrets(group.options, found))
    return module


def read_environment(group: OptionGroup, params: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """What the environment says about the options that the task left out."""
    found: dict[str, Any] = {}
    for option, names in group.environment.items():
        if params.get(option) is not None or params.get(group.yields_to.get(option, "")) is not None:
            continue
        kind = group.options[option]["type"]
        if kind == "dict":
            texts = dict(zip(group.options[option]["options"], (environ.get(name) for name in names)))
            value: Any = texts if any(text is not None for text in texts.values()) else None
        else:
            value = _typed(kind, next((environ[name] for name in names if environ.get(name)), None))
        if value is not None:
            found[option] = value
    return found


def _typed(kind: str, text: Optional[str]) -> Any:
    if text is None:
        return None
    if kind == "bool":
        return text.lower() not in _FALSE_WORDS
    if kind == "list":
        return [part for part in text.split(",") if part]
    return os.path.expanduser(text) if kind == "path" else text


def _secrets(options: Spec, found: Mapping[str, Any]) -> set[str]:
    secrets: set[str] = set()
    for option, value in found.items():
        if isinstance(value, Mapping):
            secrets |= _secrets(options[option]["options"], value)
        elif value and options[option].get("no_log"):
            secrets.add(value)
    return secrets


def _joined(groups: Iterable[Sequence[Rule]], own: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    return [rule for rules in (*groups, own) for rule in rules]


def _merged(groups: Iterable[Mapping[str, Rule]], own: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    return {option: needed for rules in (*groups, own) for option, needed in rules.items()}
