# SPDX-License-Identifier: Apache-2.0
"""Judges runs: evidence and a policy in, a verdict and its reports out.

It uses no node, no cloud and no subprocess. It reads the paths that it is given and writes only
``report/``. Start reading at ``bsdgate.results.judge``.
"""
