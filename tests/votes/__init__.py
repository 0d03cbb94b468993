# SPDX-License-Identifier: Apache-2.0
"""Trials in which reviews are posted through faults, restarts and races."""
