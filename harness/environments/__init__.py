# SPDX-License-Identifier: Apache-2.0
"""Python environments, with or without a change under test."""
