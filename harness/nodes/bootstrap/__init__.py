# SPDX-License-Identifier: Apache-2.0
"""Makes a machine with nothing but sshd and /bin/sh a node on which bsdgate runs.

The parts in their order: ``probe`` looks at the machine, ``plan`` compares it with ``packages``,
``pkg`` installs what is missing, ``content`` selects the files of this machine's Python packages
that the node needs, and ``installer`` makes an environment of them on the node. ``bootstrap``
carries out these parts over a connection.
"""
