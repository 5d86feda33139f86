# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test lab: a real API server, a real directory and real kernels, in one network namespace."""
