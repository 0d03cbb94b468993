# SPDX-License-Identifier: Apache-2.0
"""What the embedded cloud puts inside the services, each through an entry point of theirs."""
