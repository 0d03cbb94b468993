# SPDX-License-Identifier: Apache-2.0
"""Servers: the resources that they hold on a host, and their release."""
