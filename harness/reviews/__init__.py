# SPDX-License-Identifier: Apache-2.0
"""Posts reviews to Gerrit: a spool on disk, a client, and the rules of a post."""
