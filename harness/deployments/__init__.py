# SPDX-License-Identifier: Apache-2.0
"""The clouds under test: the embedded cloud, on any node, or a standing cloud."""
