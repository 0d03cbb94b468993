# SPDX-License-Identifier: Apache-2.0
"""Damage to evidence, made by the thousand: what a judge must not be fooled by, nor shy from."""
