# SPDX-License-Identifier: Apache-2.0
"""Trials in which a signal hits a process of a run: no false pass, nothing left, the next works."""
