# SPDX-License-Identifier: Apache-2.0
"""The packages and repositories of a node, from a simulated pkg."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.nodes import packages

# The output of pkg 2 on FreeBSD 15.1, with less of its configuration.
SETTINGS = """\
Version                 : 2.4.2
PKG_DBDIR = "/var/db/pkg";
ALIAS {
    all-depends = "query %dn-%dv";
    rall-depends = "rquery %dn-%dv";
}
REPOSITORIES {
}


Repositories:
  FreeBSD-ports: { 
    url             : "pkg+https://pkg.FreeBSD.org/FreeBSD:15:amd64/quarterly",
    enabled         : yes,
    priority        : 0,
    mirror_type     : "SRV",
    signature_type  : "FINGERPRINTS",
    fingerprints    : "/usr/share/keys/pkg"
  }
  FreeBSD-base: { 
    url             : "pkg+https://pkg.FreeBSD.org/FreeBSD:15:amd64/base_release_1",
    enabled         : no,
    priority        : -5,
    mirror_type     : "SRV"
  }
  own: {
    url             : "https://ann:secret@example.org/packages",
    enabled         : yes,
    priority        : 10
  }
"""  # noqa: W291 - so does pkg
INSTALLED = "package bash 5.3.9\npackage py311-keystone 30.0.0_1\npackage python311 3.11.14,1\n"


@pytest.fixture
def pkg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that makes a pkg: a shell line with $1, $INSTALLED and $SETTINGS."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def make(line: str) -> None:
        program = tmp_path / "pkg"
        text = f"#!/bin/sh\nINSTALLED='{INSTALLED}'\nSETTINGS='{SETTINGS}'\n{line}\n"
        program.write_text(text)
        program.chmod(0o700)

    return make


ANSWERS = 'case "$1" in query) printf %s "$INSTALLED";; -vv) printf %s "$SETTINGS";; esac'


def test_all_packages_and_repositories_are_returned(pkg: Callable[[str], None]) -> None:
    pkg(ANSWERS)
    found = packages.installed()
    assert found["packages"] == {
        "bash": "5.3.9",
        "py311-keystone": "30.0.0_1",
        "python311": "3.11.14,1",
    }
    assert found["repositories"] == [
        {
            "name": "FreeBSD-ports",
            "url": "pkg+https://pkg.FreeBSD.org/FreeBSD:15:amd64/quarterly",
            "enabled": True,
            "priority": 0,
        },
        {
            "name": "FreeBSD-base",
            "url": "pkg+https://pkg.FreeBSD.org/FreeBSD:15:amd64/base_release_1",
            "enabled": False,
            "priority": -5,
        },
        {
            "name": "own",
            "url": "https://example.org/packages",
            "enabled": True,
            "priority": 10,
        },
    ]


def test_a_node_without_a_repository_has_none(pkg: Callable[[str], None]) -> None:
    pkg('test "$1" != -vv || printf "Version : 2.4.2\\n\\nRepositories:\\n"')
    assert packages.installed() == {"packages": {}, "repositories": []}


def test_the_packages_are_requested_with_their_versions(pkg: Callable[[str], None]) -> None:
    pkg('test "$1" != query || echo "$2" | sed "s/%n/bash/; s/%v/5.3/"')
    assert packages.installed()["packages"] == {"bash": "5.3"}


def test_a_pkg_that_is_not_installed_yet_is_not_run(
    pkg: Callable[[str], None], tmp_path: Path
) -> None:
    pkg(f'test "$1" = -N || touch {tmp_path}/run; exit 1')
    assert packages.installed() == {"packages": {}, "repositories": []}
    assert not (tmp_path / "run").exists()


def test_a_machine_without_pkg_has_no_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert packages.installed() == {"packages": {}, "repositories": []}


@pytest.mark.parametrize("command", ["query", "-vv"])
def test_a_pkg_that_fails_is_an_error(pkg: Callable[[str], None], command: str) -> None:
    pkg(f'{ANSWERS}; if test "$1" = {command}; then echo "database is locked" >&2; exit 1; fi')
    with pytest.raises(
        InfrastructureError, match=r"(?s)pkg cannot list.*database is locked"
    ) as got:
        packages.installed()
    assert "pkg query" in (got.value.hint or "")
