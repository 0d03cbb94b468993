# SPDX-License-Identifier: Apache-2.0
"""Where a run's machines and Python environments come from."""
