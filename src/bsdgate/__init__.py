# SPDX-License-Identifier: Apache-2.0
"""bsdgate: CI harness and gate for OpenStack on FreeBSD.

Only links live beside this file: each names a folder at the top of the checkout.
"""
