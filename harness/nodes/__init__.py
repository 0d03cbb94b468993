# SPDX-License-Identifier: Apache-2.0
"""The machines that a deployment runs on: this machine, or another machine over ssh."""
