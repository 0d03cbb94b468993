# SPDX-License-Identifier: Apache-2.0
"""Several services together."""
