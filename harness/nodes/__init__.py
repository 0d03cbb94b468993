# SPDX-License-Identifier: Apache-2.0
"""The machines that a deployment runs on: this one, or another one that is reached over ssh."""
