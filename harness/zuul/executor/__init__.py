# SPDX-License-Identifier: Apache-2.0
"""A program that runs the playbooks of a job as Zuul's executor does.

It runs in the environment of Zuul. ``order`` has its input and output, which bsdgate uses too.
"""
