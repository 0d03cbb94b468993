# SPDX-License-Identifier: Apache-2.0
"""Who may ask which service for what."""
