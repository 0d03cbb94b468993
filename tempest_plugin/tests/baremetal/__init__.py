# SPDX-License-Identifier: Apache-2.0
"""Boards: how they are chosen, deployed and given back."""
