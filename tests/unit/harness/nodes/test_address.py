# SPDX-License-Identifier: Apache-2.0
"""Addresses of nodes, the values of ``--on``."""

import pytest

from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes.address import Address


@pytest.mark.parametrize(
    ("url", "address", "options", "name"),
    [
        ("ssh://alias", Address("alias"), ["alias"], "ssh-alias"),
        ("ssh://ann@host", Address("host", "ann"), ["-l", "ann", "host"], "ssh-ann-host"),
        (
            "ssh://a.b-c@10.0.0.1:2222",
            Address("10.0.0.1", "a.b-c", 2222),
            ["-l", "a.b-c", "-p", "2222", "10.0.0.1"],
            "ssh-a.b-c-10.0.0.1-2222",
        ),
        ("ssh://[fe80::1%em0]:22", Address("fe80::1%em0", None, 22), None, "ssh-fe80--1-em0-22"),
    ],
)
def test_a_url_names_host_user_and_port(
    url: str, address: Address, options: list[str] | None, name: str
) -> None:
    found = Address.parse(url)
    assert found == address
    assert str(found) == url
    assert found.name == name
    if options is not None:
        assert found.options == options


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host",
        "http://host",
        "ssh://",
        "ssh://host:0",
        "ssh://host:65536",
        "ssh://host:x",
        "ssh://host/folder",
        "ssh://-oProxyCommand=evil",
        "ssh://-l@host",
        "ssh://user@-host",
        "ssh://user name@host",
        "ssh://host\n",
        "ssh://$(id)@host",
    ],
)
def test_a_text_that_is_not_an_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="not the address of a node") as caught:
        Address.parse(url)
    assert caught.value.hint == "give ssh://USER@HOST[:PORT]"


@pytest.mark.parametrize("url", ["ssh://ann:s3cret@host", "ssh://ann:s3/cr:et@host:22"])
def test_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="has a password") as caught:
        Address.parse(url)
    assert "s3" not in str(caught.value)
