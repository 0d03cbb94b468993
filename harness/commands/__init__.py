# SPDX-License-Identifier: Apache-2.0
"""What the command line does, one module a family of commands."""
