# SPDX-License-Identifier: Apache-2.0
"""The functions of the command line, in one module for each family of commands."""
