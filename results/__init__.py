# SPDX-License-Identifier: Apache-2.0
"""Judges runs: makes a verdict and its reports from the evidence of a run and a policy.

The package uses no node, no cloud and no subprocess. It reads only the paths in its arguments and
writes only ``report/``. Start reading at ``bsdgate.results.judge``.
"""
