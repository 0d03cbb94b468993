# SPDX-License-Identifier: Apache-2.0
"""bsdgate in Zuul: the files of jobs, the check of these files, and secrets in published logs."""
