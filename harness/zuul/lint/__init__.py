# SPDX-License-Identifier: Apache-2.0
"""A program that checks the Zuul files of a checkout. It runs in the environment of Zuul."""
