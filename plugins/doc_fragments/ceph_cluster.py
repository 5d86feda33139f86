# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which CephCluster a module is about; mirrors CEPH_CLUSTER_SPEC in module_utils/_ansible/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  namespace:
    description:
      - Namespace of the CephCluster.
    type: str
    default: rook-ceph
  name:
    description:
      - Name of the CephCluster.
    type: str
    default: rook-ceph
  operator_namespace:
    description:
      - Namespace of the operator, which names the storage drivers. The default is O(namespace).
    type: str
"""
