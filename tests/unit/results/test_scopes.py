# SPDX-License-Identifier: Apache-2.0
"""The scopes of known failures, compared with the facts of a run."""

import pytest
from unit.results.test_expectations import TODAY, entry, run_of

from bsdgate.results.expectations import Expectations, Scope, entry_reasons
from bsdgate.results.expectations.scope import find_problem
from bsdgate.results.model import Code, Level
from bsdgate.results.policy import GATE

FACTS = {
    "freebsd": "15.1-RELEASE-p2",
    "architecture": "arm64",
    "profile": "embedded",
    "release": "2026.2",
    "ports": "3f2a1b0c9d8e7f6a5b4c",
    "ports.py311-nova": "31.0.0_2,1",
}


@pytest.mark.parametrize(
    ("key", "want", "fits"),
    [
        ("freebsd", "15.*", True),
        ("freebsd", "15.1", True),
        ("freebsd", "15.1-RELEASE-p2", True),
        ("freebsd", "1?.1", True),
        ("freebsd", "15*", True),
        ("architecture", "a*64", True),
        ("branch", "2026.*", True),
        ("ports", "3f2a1b*", True),
        ("freebsd", "14.*", False),
        ("freebsd", "15.10", False),
        ("freebsd", ">=15.0", True),
        ("freebsd", ">=15.1 <16", True),
        ("freebsd", ">=15.0, <15.1", False),
        ("freebsd", ">15.1", False),
        ("freebsd", "!=15.1", False),
        ("freebsd", "<=15.10", True),
        ("architecture", "aarch64", True),
        ("architecture", "amd64", False),
        ("profile", "embedded", True),
        ("profile", "mini*", False),
        ("branch", "2026.2", True),
        ("branch", ">=2026.1", True),
        ("branch", "2025.2", False),
        ("ports", "3f2a1b0", True),
        ("ports", "3f2a1b1", False),
        ("ports", "py311-nova<31.0.0_2", False),
        ("ports", "py311-nova<31.0.0_3,1", True),
        ("ports", "py311-nova<=31.0.0_2,1", True),
        ("ports", "py311-nova>99", True),
        ("ports", "py311-glance<99", False),
    ],
)
def test_an_entry_applies_if_its_scope_matches_the_run(key: str, want: str, fits: bool) -> None:
    one = entry("m.C.one", scope=Scope(**{key: (want,)}))
    assert find_problem(key, want) is None
    assert bool(Expectations([one], run_of(**FACTS)).of("m.C.one")) is fits


def test_all_keys_and_one_of_the_alternatives_must_match() -> None:
    known = Expectations(
        [
            entry("both", scope=Scope(freebsd=("15.*",), architecture=("amd64",))),
            entry("either", scope=Scope(freebsd=("14.*", "15.*"))),
        ],
        run_of(**FACTS),
    )
    assert [one.test for one in known.entries] == ["either"]


def test_a_fact_that_the_run_lacks_never_matches_and_is_reported() -> None:
    entries = [
        entry("silent", scope=Scope(freebsd=("15.*",))),
        entry("elsewhere", scope=Scope(freebsd=("15.*",), profile=("minicloud",))),
        entry("negative", scope=Scope(freebsd=("!=15.1",))),
        entry("here", scope=Scope(profile=("embedded",))),
    ]
    known = Expectations(entries, run_of())
    assert [one.test for one in known.entries] == ["here"]
    assert [one.test for one, _ in known.undecided] == ["negative", "silent"]
    (reason,) = entry_reasons(entries, run_of(), TODAY, GATE)
    assert (reason.level, reason.code) == (Level.NOTE, Code.EXPECTATION_UNMATCHED)
    assert reason.ids == ("negative", "silent")
    assert "x.yaml:silent (freebsd)" in reason.message
