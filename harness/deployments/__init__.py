# SPDX-License-Identifier: Apache-2.0
"""The clouds that are tested: the embedded one, on any node, or one that is already there."""
