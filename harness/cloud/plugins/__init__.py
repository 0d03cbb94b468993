# SPDX-License-Identifier: Apache-2.0
"""Plugins of the embedded cloud inside the services, loaded through their entry points."""
