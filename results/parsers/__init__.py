# SPDX-License-Identifier: Apache-2.0
"""Recorded streams into cases. A parser recounts; it never believes a header."""
