# SPDX-License-Identifier: Apache-2.0
"""Trials in which a listener works through faults, lost messages, restarts and races."""
