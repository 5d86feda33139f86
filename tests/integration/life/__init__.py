# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab's life in the order of these files: set up on blank nodes, taken away again, set up once more and repaired."""
