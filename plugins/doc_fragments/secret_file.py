# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns the secret files a module writes; mirrors SECRET_FILE_SPEC in module_utils/_ansible/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  owner:
    description:
      - Name or numeric id of the user who is to own the files that are written.
      - By default the user the module runs as. Giving files to another user needs root.
    type: str
  group:
    description:
      - Name or numeric id of the group of the files that are written.
      - By default the primary group of the user the module runs as.
    type: str
notes:
  - A secret file is born with mode V(0600) in its destination's directory and replaces the old one in a single rename.
"""
