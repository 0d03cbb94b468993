# SPDX-License-Identifier: Apache-2.0
"""Which requests each service accepts with which token."""
