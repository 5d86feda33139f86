# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to reach an LDAP server; mirrors LDAP_AUTH_SPEC in module_utils/_ansible/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  server_uri:
    description:
      - One or more LDAP URIs of the forms C(ldap://host:port), C(ldaps://host:port) and C(ldapi://%2Fpath%2Fto%2Fsocket).
      - They are tried in this order until one answers.
      - The default is the Unix socket at its usual place.
    type: list
    elements: str
    default:
      - ldapi:///
  bind_dn:
    description:
      - The DN to bind with; a password comes from O(bind_pw) or O(bind_pw_file).
      - Without it the bind is by O(sasl_class).
    type: str
  bind_pw:
    description:
      - The password of O(bind_dn).
      - Mutually exclusive with O(bind_pw_file).
    type: str
  bind_pw_file:
    description:
      - Path of a file, on the host the module runs on, whose first line is the password of O(bind_dn).
      - Mutually exclusive with O(bind_pw).
    type: path
  sasl_class:
    description:
      - How to bind without O(bind_dn).
      - V(external) is SASL EXTERNAL, which makes you the local user over C(ldapi://), and the subject of O(client_cert) over TLS.
    type: str
    choices:
      - external
    default: external
  start_tls:
    description:
      - Whether to switch a C(ldap://) connection to TLS before anything else is sent.
    type: bool
    default: false
  validate_certs:
    description:
      - Whether the server's certificate and host name are verified.
    type: bool
    default: true
  ca_path:
    description:
      - Path of a PEM file with the CA certificates to trust instead of the system's.
    type: path
  client_cert:
    description:
      - Path of a PEM file with the client certificate and its chain.
      - Needs O(client_key).
    type: path
  client_key:
    description:
      - Path of a PEM file with the private key of O(client_cert).
      - Needs O(client_cert).
    type: path
  timeout:
    description:
      - Seconds to wait for the connection and for each answer, at least V(1).
    type: int
    default: 30
  allow_plaintext:
    description:
      - Whether passwords may travel over C(ldap://) without TLS.
      - Otherwise such a connection is refused as soon as a password would be sent, be it to bind or to set one.
    type: bool
    default: false
requirements:
  - ldap3 >= 2.9
"""
