# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's signer with the rate that kube-controller-manager has by default, 20 requests a second, for a benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kubestead_lab import control_plane
from kubestead_lab.golang import KUBERNETES, program
from kubestead_lab.settings import Lab


@contextmanager
def default_signer(lab: Lab) -> Iterator[None]:
    """Start the controllers anew without the raised rate; afterwards they are as they were."""
    controllers, folder = control_plane.daemons(lab)[-1], control_plane.folder_of(lab)
    flags = [flag for flag in control_plane.controller_arguments(folder) if not flag.startswith("--kube-api-")]
    controllers.stop()
    try:
        controllers.start([str(program(lab, KUBERNETES, "kube-controller-manager")), *flags], namespace=lab.name, cwd=folder)
        yield
    finally:
        controllers.stop()
        control_plane.start(lab)
