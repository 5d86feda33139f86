# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to reach a Kubernetes API server; mirrors KUBE_AUTH_SPEC in module_utils/_ansible/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig file, or its content as a dictionary.
      - Several paths can be joined with C(:).
      - Without it and without other complete credentials, the in-cluster account is tried, then C(~/.kube/config).
      - Environment variable E(K8S_AUTH_KUBECONFIG).
    type: raw
  context:
    description:
      - Name of the context of the kubeconfig to use instead of its current one.
      - Environment variable E(K8S_AUTH_CONTEXT).
    type: str
  host:
    description:
      - URL of the API server.
      - Environment variable E(K8S_AUTH_HOST).
    type: str
  api_key:
    description:
      - Bearer token.
      - Environment variable E(K8S_AUTH_API_KEY).
    type: str
  username:
    description:
      - User name for HTTP basic authentication, which only a proxy in front of the API server can still understand.
      - Environment variable E(K8S_AUTH_USERNAME).
    type: str
  password:
    description:
      - Password for HTTP basic authentication.
      - Environment variable E(K8S_AUTH_PASSWORD).
    type: str
  validate_certs:
    description:
      - Whether the server's certificate is verified. The default is what the kubeconfig says, otherwise V(true).
      - Environment variables E(K8S_AUTH_VALIDATE_CERTS) and E(K8S_AUTH_VERIFY_SSL).
    type: bool
    aliases:
      - verify_ssl
  ca_cert:
    description:
      - Path of a PEM file with the CA certificates to trust.
      - Environment variables E(K8S_AUTH_CA_CERT) and E(K8S_AUTH_SSL_CA_CERT).
    type: path
    aliases:
      - ssl_ca_cert
  client_cert:
    description:
      - Path of a PEM file with the client certificate.
      - Environment variables E(K8S_AUTH_CLIENT_CERT) and E(K8S_AUTH_CERT_FILE).
    type: path
    aliases:
      - cert_file
  client_key:
    description:
      - Path of a PEM file with the private key of the client certificate.
      - Environment variables E(K8S_AUTH_CLIENT_KEY) and E(K8S_AUTH_KEY_FILE).
    type: path
    aliases:
      - key_file
  ca_cert_content:
    description:
      - CA certificates to trust, as PEM text.
      - Mutually exclusive with O(ca_cert); a path from the environment gives way to it.
    type: str
  client_cert_content:
    description:
      - The client certificate, as PEM text.
      - Mutually exclusive with O(client_cert); a path from the environment gives way to it.
    type: str
  client_key_content:
    description:
      - The private key of the client certificate, as PEM text.
      - Mutually exclusive with O(client_key); a path from the environment gives way to it.
    type: str
  proxy:
    description:
      - URL of an HTTP proxy. The usual proxy variables of the environment are not read.
      - Environment variable E(K8S_AUTH_PROXY).
    type: str
  no_proxy:
    description:
      - Hosts, domains and networks, separated by commas, that are reached without O(proxy).
      - Environment variable E(K8S_AUTH_NO_PROXY).
    type: str
  proxy_headers:
    description:
      - What is sent to the proxy in addition.
    type: dict
    suboptions:
      proxy_basic_auth:
        description:
          - C(user:password) for the proxy.
          - Environment variable E(K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH).
        type: str
      basic_auth:
        description:
          - C(user:password) for the server.
          - Environment variable E(K8S_AUTH_PROXY_HEADERS_BASIC_AUTH).
        type: str
      user_agent:
        description:
          - The user agent to announce.
          - Environment variable E(K8S_AUTH_PROXY_HEADERS_USER_AGENT).
        type: str
  persist_config:
    description:
      - Whether refreshed tokens are written back to the kubeconfig file.
      - Environment variable E(K8S_AUTH_PERSIST_CONFIG).
    type: bool
  impersonate_user:
    description:
      - User to act as.
      - Environment variable E(K8S_AUTH_IMPERSONATE_USER).
    type: str
  impersonate_groups:
    description:
      - Groups to act as.
      - Environment variable E(K8S_AUTH_IMPERSONATE_GROUPS), separated by commas.
    type: list
    elements: str
requirements:
  - kubernetes >= 24.2
notes:
  - The connection options have the names, aliases, environment variables and precedence of the collection C(kubernetes.core).
    An option of the task wins over its environment variable.
"""
