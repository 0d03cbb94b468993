# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.command_line: URLs are shown without secrets."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsdgate.harness.command_line import without_url_passwords


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host/x@ref", "https://me:***@host/x@ref"),
        ("git+https://me:p@w@host/x@ref", "git+https://me:***@host/x@ref"),
        ("http://:pw@host/", "http://:***@host/"),
        ("https://token@host/x", "https://***@host/x"),
        ("postgresql://me:pa/ss@host/db", "postgresql://me:***@host/db"),
        ("redis://:pw?#@host", "redis://:***@host"),
        ('{"a":"http://me:pw@h","b":"x@y"}', '{"a":"http://me:***@h","b":"x@y"}'),
        ("http://a:b@h1 and http://c:d@h2", "http://a:***@h1 and http://c:***@h2"),
        ("ssh://git@host:29418/x@ref", "ssh://git@host:29418/x@ref"),
        ("http://host:5000/v3/users/x@y", "http://host:5000/v3/users/x@y"),
        ("http://[::1]:5000/v3/users/x@y", "http://[::1]:5000/v3/users/x@y"),
        ("https://host/a:b@c", "https://host/a:b@c"),
        ("sqlite:////a/b:c@d", "sqlite:////a/b:c@d"),
    ],
)
def test_passwords_of_urls_are_hidden_and_nothing_else(text: str, shown: str) -> None:
    assert without_url_passwords(text) == shown


@given(
    scheme=st.sampled_from(["http", "https", "ssh", "postgresql+psycopg"]),
    user=st.text(string.ascii_letters, max_size=5),
    password=st.text(string.ascii_letters + "@:?#%&$!*-", min_size=1, max_size=12),
    before=st.sampled_from(["", "x ", 'say "', "git+", "a="]),
)
def test_no_password_is_shown(scheme: str, user: str, password: str, before: str) -> None:
    shown = without_url_passwords(f"{before}{scheme}://{user}:SECRET{password}@host/path@ref")
    assert shown == f"{before}{scheme}://{user}:***@host/path@ref"
