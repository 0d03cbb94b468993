# SPDX-License-Identifier: Apache-2.0
"""The credentials of the entry ``OS_CLOUD`` in clouds.yaml."""

import os

import openstack


def test_the_user_is_let_in() -> None:
    """The cloud answers a request that needs valid credentials."""
    with openstack.connect(cloud=os.environ["OS_CLOUD"]) as cloud:
        list(cloud.baremetal.nodes(limit=1, paginated=False))
