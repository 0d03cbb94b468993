# SPDX-License-Identifier: Apache-2.0
"""Known failures: YAML files, each entry with a bug, an owner and an end."""
