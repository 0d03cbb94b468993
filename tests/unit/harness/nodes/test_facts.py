# SPDX-License-Identifier: Apache-2.0
import platform

import pytest

from bsdgate.harness.nodes import facts


@pytest.mark.parametrize(
    ("system", "release", "machine", "told"),
    [
        ("FreeBSD", "15.1-RELEASE-p2", "arm64", {"architecture": "arm64", "freebsd": "15.1"}),
        ("FreeBSD", "16.0-CURRENT", "amd64", {"architecture": "amd64", "freebsd": "16.0"}),
        ("Linux", "6.1.0-18-amd64", "x86_64", {"architecture": "amd64"}),
        ("Linux", "6.1.0", "aarch64", {"architecture": "arm64"}),
    ],
)
def test_facts_are_in_the_words_of_freebsd(monkeypatch, system, release, machine, told):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "release", lambda: release)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert facts.local() == told
