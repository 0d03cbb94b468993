# SPDX-License-Identifier: Apache-2.0
"""Secrets in files that are published: what is found, and what is left."""

from pathlib import Path

import pytest

from bsdgate.harness.errors import ConfigurationError
from bsdgate.harness.zuul.masking import Masker, known_values

KEY = """\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXk
AAAA+/==
-----END OPENSSH PRIVATE KEY-----
"""
FERNET = "gAAAAABmZ2h5" + "x-_9" * 15


@pytest.mark.parametrize(
    ("text", "secret", "kind"),
    [
        (f"a\n{KEY}b", "b3BlbnNzaC1rZXk", "private key"),
        (KEY.replace("\n", "\\n"), "AAAA+/", "private key"),
        (KEY.partition("-----END")[0], "AAAA+/", "private key"),
        (f"issued {FERNET} to", FERNET, "token"),
        ("'X-Auth-Token': '0123456789abcdef'", "0123456789abcdef", "token"),
        ("x-subject-token: 0123456789abcdef", "0123456789abcdef", "token"),
        ("mysql://nova:hunter22@db/nova", "hunter22", "password in a URL"),
        ("admin_password = correct-horse", "correct-horse", "password"),
        ('{"password": "correct-horse"}', "correct-horse", "password"),
        (r'"{\"password\": \"correct-horse\"}"', "correct-horse", "password"),
        ("OS_PASSWORD=correct-horse\n", "correct-horse", "password"),
    ],
)
def test_the_form_of_a_secret_is_masked(text: str, secret: str, kind: str) -> None:
    masked, counts = Masker().mask(text.encode())
    assert secret.encode() not in masked
    assert counts == {kind: 1}
    assert len(masked) == len(text)
    assert masked.count(b"\n") == text.count("\n")


@pytest.mark.parametrize(
    "text",
    [
        "password: ***",
        '{"password": null}',
        "password=None, user=x",
        "test_change_password: ok",
        "https://host:8443/path and user@host",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n",
        "GET /v3/auth/tokens",
        "X-Auth-Token: {SHA256}0011",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert Masker().mask(text.encode()) == (text.encode(), {})


def test_what_is_masked_is_no_secret_any_more() -> None:
    once, _ = Masker(["pass-phrase"]).mask(f"{KEY} pass-phrase password=abcdefg".encode())
    assert Masker(["pass-phrase"]).mask(once) == (once, {})


def test_the_known_values_are_masked_wherever_they_are() -> None:
    masked, counts = Masker(["s3cret-value", 'quo"ted-value']).mask(
        b'curl s3cret-value; {"x": "quo\\"ted-value"}'
    )
    assert masked == b'curl ************; {"x": "**************"}'
    assert counts == {"password of the cloud": 2}


def test_the_known_values_are_the_secrets_in_the_files(tmp_path: Path) -> None:
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text("clouds: {a: {auth: {password: long-password, username: somebody}}}")
    accounts = tmp_path / "accounts.yaml"
    accounts.write_text("- {username: tempest, password: abc}\n- {password: another-one}\n")
    missing = tmp_path / "missing.yaml"
    assert known_values([clouds, accounts, missing]) == {"long-password", "another-one"}


def test_a_file_of_secrets_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text("clouds: [")
    with pytest.raises(ConfigurationError, match=r"clouds.yaml:2:"):
        known_values([clouds])
