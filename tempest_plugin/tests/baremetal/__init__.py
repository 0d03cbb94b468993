# SPDX-License-Identifier: Apache-2.0
"""Boards: allocation, deployment and undeployment."""
