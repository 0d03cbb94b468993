# SPDX-License-Identifier: Apache-2.0
"""Whether the entry of ``OS_CLOUD`` in clouds.yaml lets its user in."""

import os

import openstack


def test_the_user_is_let_in() -> None:
    """A list that only a user can get is answered."""
    with openstack.connect(cloud=os.environ["OS_CLOUD"]) as cloud:
        list(cloud.baremetal.nodes(limit=1, paginated=False))
