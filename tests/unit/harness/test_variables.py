# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.variables: the caller's variables that a child process inherits."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bsdgate.harness import variables
from bsdgate.harness.errors import UsageError

SECRET = "swordfish"
SECRETS = (
    "ANSIBLE_VAULT_PASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "BSDGATE_HISTORY_URL",
    "GITHUB_TOKEN",
    "GIT_ASKPASS",
    "GIT_INDEX_FILE",
    "LD_PRELOAD",
    "OS_PASSWORD",
    "PIP_KEYRING_PROVIDER",
    "PYTEST_ADDOPTS",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "SSH_AUTH_SOCK",
    "TEMPEST_CONFIG",
    "UV_INDEX_SITE_PASSWORD",
    "UV_INDEX_SITE_USERNAME",
    "UV_PUBLISH_TOKEN",
    "VIRTUAL_ENV",
    "ZUUL_SECRET",
)


@contextmanager
def caller(home: Path, values: Mapping[str, str]) -> Iterator[None]:
    """Set the environment of the caller to these variables only."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            patch.delenv(name)
        for name, value in {"PATH": "/bin", "HOME": str(home), **values}.items():
            patch.setenv(name, value)
        yield


def test_no_secret_reaches_a_process_that_runs_untrusted_code(tmp_path: Path) -> None:
    with caller(tmp_path, dict.fromkeys(SECRETS, SECRET) | {"LC_ALL": "C", "TZ": "UTC"}):
        assert variables.common() == {
            "PATH": "/bin",
            "HOME": str(tmp_path),
            "LC_ALL": "C",
            "TZ": "UTC",
        }
        assert SECRET not in variables.for_builds().values()
        assert variables.for_git()["SSH_AUTH_SOCK"] == SECRET
        assert not {name for name in variables.for_git() if name in SECRETS} - {"SSH_AUTH_SOCK"}


KNOWN = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True))
def test_a_name_that_is_not_listed_is_not_inherited(tmp_path: Path, name: str) -> None:
    with caller(tmp_path, {name: "x"}):
        listed = name in KNOWN or name.startswith("LC_")
        assert (name in variables.common()) <= listed


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"UV_DEFAULT_INDEX": "http://i"}, {"UV_DEFAULT_INDEX": "http://i"}),
        ({"PIP_INDEX_URL": "http://i"}, {"UV_DEFAULT_INDEX": "http://i"}),
        ({"PIP_INDEX_URL": "http://i", "UV_INDEX_URL": "http://u"}, {"UV_INDEX_URL": "http://u"}),
        ({"PIP_EXTRA_INDEX_URL": "http://a  http://b"}, {"UV_INDEX": "http://a http://b"}),
        ({"PIP_FIND_LINKS": "/a /b"}, {"UV_FIND_LINKS": "/a,/b"}),
        ({"PIP_CERT": "/c"}, {"SSL_CERT_FILE": "/c"}),
        ({"PIP_CERT": "/c", "SSL_CERT_FILE": "/s"}, {"SSL_CERT_FILE": "/s"}),
        ({"https_proxy": "http://p:1", "HTTP_PROXY": "http://q"}, {}),
        ({"UV_OFFLINE": "1", "SSL_CERT_DIR": "/d", "NETRC": "/n"}, {}),
    ],
)
def test_builds_inherit_the_index_the_proxies_and_the_certificates(
    tmp_path: Path, given: dict[str, str], expected: dict[str, str]
) -> None:
    with caller(tmp_path, given):
        found = variables.for_builds()
        direct = {found.pop("no_proxy"), found.pop("NO_PROXY")}
        assert found == (expected or given)
        assert direct == {"127.0.0.1,localhost,::1"}
        assert "http://i" not in variables.common().values()


def test_loopback_uses_no_proxy(tmp_path: Path) -> None:
    with caller(tmp_path, {"no_proxy": "intranet,localhost"}):
        assert variables.for_builds()["NO_PROXY"] == "intranet,localhost,127.0.0.1,::1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UV_DEFAULT_INDEX", f"https://me:{SECRET}@host/simple"),
        ("UV_INDEX", f"site=https://me:{SECRET}@host/simple"),
        ("PIP_EXTRA_INDEX_URL", f"http://a https://{SECRET}@host/simple"),
        ("https_proxy", f"http://me:{SECRET}@proxy:3128"),
    ],
)
def test_a_password_that_a_build_could_read_is_refused(
    tmp_path: Path, name: str, value: str
) -> None:
    with caller(tmp_path, {name: value}):
        with pytest.raises(UsageError, match="contains a password") as caught:
            variables.for_builds()
        assert "netrc" in str(caught.value)
        assert SECRET not in str(caught.value)


def test_the_users_files_for_the_index_are_passed_to_another_home(tmp_path: Path) -> None:
    (tmp_path / ".netrc").touch()
    (tmp_path / ".config" / "uv").mkdir(parents=True)
    (tmp_path / ".config" / "uv" / "uv.toml").touch()
    with caller(tmp_path, {}):
        found = variables.for_builds()
        assert found["NETRC"] == str(tmp_path / ".netrc")
        assert found["UV_CONFIG_FILE"] == str(tmp_path / ".config" / "uv" / "uv.toml")
