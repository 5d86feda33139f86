# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module says about itself: check mode, diff, repetition, platform, action group."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and reports the same entries and actions as the real run would, without writing.
  diff_mode:
    description: Says what was changed, or would be changed, when run in C(diff_mode). Secrets are never part of it.
  idempotent:
    description: A second run with the same options and an unchanged world changes nothing.
"""

    # For modules of the action group k8s.
    ACTIONGROUP_K8S = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/kubestead.platform.k8s) in C(module_defaults) to set the connection options once.
    support: full
    membership:
      - kubestead.platform.k8s
"""

    # For modules of the action group ldap.
    ACTIONGROUP_LDAP = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/kubestead.platform.ldap) in C(module_defaults) to set the connection options once.
    support: full
    membership:
      - kubestead.platform.ldap
"""

    # For modules that only read.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module changes nothing.
  diff_mode:
    support: N/A
    details:
      - This module changes nothing.
  idempotent:
    support: full
    details:
      - This module changes nothing.
"""
