# SPDX-License-Identifier: Apache-2.0
"""FreeBSD images: find one in the release tree, download, verify and unpack it, keep it."""
