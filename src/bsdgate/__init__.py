# SPDX-License-Identifier: Apache-2.0
"""bsdgate: CI harness and gate for OpenStack on FreeBSD.

The other parts of the package are symbolic links to the top-level folders of the checkout.
"""
