# SPDX-License-Identifier: Apache-2.0
"""The plugin's tests, a package for each area."""
