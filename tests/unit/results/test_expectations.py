# SPDX-License-Identifier: Apache-2.0
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsdgate.results.expectations import (
    Expectation,
    Expectations,
    ExpectationsError,
    Scope,
    entry_reasons,
    load,
    read,
    unmatched_names,
    unmatched_note,
    valid,
)
from bsdgate.results.expectations.scope import glob
from bsdgate.results.ids import idempotent, without_attributes
from bsdgate.results.model import Code, Level, Outcome, Run
from bsdgate.results.policy import DEVELOPER, GATE

WHOLE = """\
- test: tempest.api.compute.test_rescue.*
  bug: https://bugs.example.org/1
  owner: jane
  reason: fake servers have no rescue disk
  since: 2026-11-01
  expires: 2027-05-01
  scope: {profile: embedded}
"""
UUID = "id-869bc8e8-0be6-4dd7-a9ee-cb5e7fdcfd5f"
TODAY = date(2026, 11, 22)


def entry(test: str, expires: str = "2027-05-01", **fields: Any) -> Expectation:
    day = date.fromisoformat(expires)
    whole: dict[str, Any] = {
        "bug": "https://b/1",
        "owner": "jane",
        "reason": "reason",
        "source": f"x.yaml:{test}",
    }
    return Expectation(test, since=date(2026, 1, 1), expires=day, **(whole | fields))


def run_of(**facts: str) -> Run:
    profile, release = facts.pop("profile", "embedded"), facts.pop("release", "2026.2")
    return Run(
        "1", datetime(2026, 11, 22, tzinfo=UTC), profile=profile, release=release, facts=facts
    )


# Files ---------------------------------------------------------------------------------------


def test_a_complete_entry_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(WHOLE)
    (found,) = load([tmp_path])
    assert found.expires == date(2027, 5, 1)
    assert found.scope == Scope(profile=("embedded",))
    assert found.source == f"{file}:1"
    assert found.outcome is Outcome.FAIL
    assert found.missing == ()


def test_an_entry_can_be_for_a_skip_and_have_alternatives(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        WHOLE.replace(
            "{profile: embedded}", '\n    freebsd: ["14.*", ">=15.1"]\n    branch: 2026.10'
        )
        + "  outcome: skip\n"
    )
    (found,) = load([tmp_path])
    assert found.outcome is Outcome.SKIP
    assert found.scope == Scope(branch=("2026.10",), freebsd=("14.*", ">=15.1"))


def test_an_empty_file_has_no_entries(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# none yet\n")
    assert load([tmp_path]) == ()


@pytest.mark.parametrize("gone", ["bug", "owner"])
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_without_bug_or_owner_an_entry_is_read_and_excuses_nothing(
    tmp_path: Path, gone: str, how: str
) -> None:
    lines = WHOLE.splitlines()
    kept = [line for line in lines if not line.startswith(f"  {gone}:")]
    if how == "empty":
        kept.append(f"  {gone}:")
    (tmp_path / "a.yaml").write_text("\n".join(kept))
    (found,) = load([tmp_path])
    assert found.missing == (gone,)
    assert valid([found], TODAY) == []


def test_all_problems_are_reported_with_file_and_line(tmp_path: Path) -> None:
    first, second, third = (tmp_path / f"{name}.yaml" for name in "abc")
    first.write_text(
        WHOLE.replace("https://", "").replace("2027-05-01", "soon") + "  colour: red\n- 5\n"
    )
    second.write_text("- test: x\n  test: y\n")
    third.write_text("- test: x\n  bug: ]\n")
    with pytest.raises(ExpectationsError) as caught:
        load([tmp_path, tmp_path / "absent.yaml"])
    problems = caught.value.problems
    text = str(caught.value)
    for expected in (
        f"{first}:2:8: bug: 'bugs.example.org/1': not the URL",
        f"{first}:6:12: expires: 'soon': a day was expected",
        f"{first}:8:3: unknown key colour (allowed: bug, expires,",
        f"{first}:9:3: the entry: '5': a mapping with the keys test, bug,",
        f"{second}:2:3: duplicate key test, first in line 1",
        f"{second}:1:3: the key owner is missing",
        f"{third}:2:8: not YAML: ",
        "absent.yaml: ",
    ):
        assert expected in text
    assert len(problems) == 12
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  outcome: error", "2:12: outcome: 'error' is not known (allowed: fail, skip)"),
        ("  scope: 15", "2:10: scope: '15': a mapping with the keys freebsd, architecture,"),
        (
            "  scope: {colour: red}",
            "2:11: unknown key scope.colour (allowed: architecture, branch,",
        ),
        ("  scope: {freebsd: {a: b}}", "2:20: scope.freebsd: a text, or a list of texts, was"),
        ("  scope: {freebsd: '>=x'}", "2:20: scope.freebsd: '>=x': not a bound such as >=15"),
        ("  scope: {freebsd: 'nova<1'}", "2:20: scope.freebsd: 'nova<1': bounds under ports"),
        ("  scope: {ports: '>=1'}", "2:18: scope.ports: '>=1': bounds under ports begin"),
        (
            "  scope: {freebsd: FreeBSD-15.1}",
            "2:20: scope.freebsd: 'FreeBSD-15.1': fits no run; must",
        ),
        (
            "  scope: {freebsd: '15.1, 15.2'}",
            "2:20: scope.freebsd: '15.1, 15.2': fits no run; must be",
        ),
        (
            "  scope: {freebsd: 15}",
            "'15': fits no run; must be like 15.1, 15.* or '>=15.0 <16', or",
        ),
        ("  scope: {freebsd: [15.1, 14]}", "2:20: scope.freebsd: '14': fits no run"),
        (
            "  scope: {architecture: AMD64}",
            "'AMD64': fits no run; must be one of amd64, arm64, i386",
        ),
        ("  scope: {architecture: '>=5'}", "'>=5': only freebsd, branch, ports can have bounds"),
        (
            "  scope: {profile: '>=5'}",
            "'>=5': only freebsd, branch, ports can have bounds; must be the",
        ),
        ("  scope: {branch: 2026}", "'2026': fits no run; must be like 2026.2, 2026.*"),
        ("  scope: {branch: master}", "'master': fits no run; must be like 2026.2"),
        ("  scope: {ports: py311-nova}", "'py311-nova': fits no run; must be a commit (7 to 40"),
        ("  scope: {ports: 3F2A1B0}", "'3F2A1B0': fits no run; must be a commit (7 to 40"),
        ("  scope: {ports: 3f2a1b}", "'3f2a1b': fits no run; must be a commit (7 to 40"),
        ("  proposal: from a list", "2:3: proposal: complete the entry (owner, expires), then"),
        ("  scope: {freebsd: []}", "2:20: scope.freebsd: a text, or a list of texts, was"),
        ("  source: x.yaml:1", "2:3: unknown key source; did you mean outcome? (allowed: "),
        ("  outcome: []", "2:12: outcome: [] is not known (allowed: fail, skip)"),
    ],
)
def test_a_problem_of_a_key_is_reported(tmp_path: Path, line: str, expected: str) -> None:
    file = tmp_path / "a.yaml"
    first, *rest = WHOLE.splitlines()[:-1]
    file.write_text("\n".join([first, line, *rest]))
    _, problems = read([file])
    assert len(problems) == 1
    assert expected in problems[0]
    assert problems[0].startswith(f"{file}:")


@pytest.mark.parametrize(
    ("test", "cut"),
    [
        ("t.py::test_x[a #1]", "t.py::test_x[a"),
        ("t.py::test_x #1", "t.py::test_x"),
        ("t.py::test_x\t# why", "t.py::test_x"),
        ("t.py::test_x[a\n    b] # why", "t.py::test_x[a b]"),
        ("", None),
        ("t.py::test_x[#1]", None),
        ('"t.py::test_x[a #1]" # why', None),
        ("'t.py::test_x[a #1]'", None),
        ("t.py::test_x\n# why", None),
    ],
)
def test_an_id_that_yaml_may_have_cut_is_a_problem(
    tmp_path: Path, test: str, cut: str | None
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(WHOLE.replace("tempest.api.compute.test_rescue.*", test))
    _, problems = read([file])
    cuts = [problem for problem in problems if "ends at ' #'" in problem]
    assert len(cuts) == (cut is not None)
    assert all(problem.startswith(f"{file}:1:9: test: {cut!r} ends at") for problem in cuts)


@pytest.mark.parametrize("text", ["- test:", "- test:\n", "- {test: }\n"])
def test_an_empty_id_is_a_problem(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    _, problems = read([tmp_path])
    assert any("test: a text was expected" in problem for problem in problems)


def test_an_entry_that_expires_before_its_start_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(WHOLE.replace("2027-05-01", "2026-10-01"))
    assert read([file])[1] == (f"{file}:6:12: expires: 2026-10-01 is before since: 2026-11-01",)


def test_valid_entries_are_read_from_a_file_with_problems(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(WHOLE + "- 5\n")
    entries, problems = read([tmp_path])
    assert len(entries) == len(problems) == 1


@pytest.mark.parametrize("content", ["[" * 100_000, "- " * 100_000, "{a: " * 100_000, "\0", "- {"])
def test_a_hostile_file_is_one_problem(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.yaml").write_text(content)
    entries, problems = read([tmp_path])
    assert entries == ()
    assert len(problems) == 1


# Entries that match a test ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "test_id", "matches"),
    [
        ("m.C.one", "m.C.one", True),
        ("m.C.one[id-1,smoke]", "m.C.one[id-1,smoke]", True),
        ("m.C.*", "m.C.one[id-1]", True),
        ("m.C.one", f"m.C.one[{UUID},smoke]", True),
        ("m.C.one", f"m.C.one[compute,{UUID},network,smoke]", True),
        ("m.C.one", f"m.C.one[compute,{UUID.upper().replace('ID-', 'id-')}]", True),
        # Everything else in brackets or parentheses distinguishes tests.
        ("m.C.one", "m.C.one[id-1,smoke]", False),
        ("m.C.one", "m.C.one[smoke]", False),
        ("m.C.one", "m.C.one(v4)", False),
        ("m.C.one", f"m.C.one[{UUID}](v4)", False),
        ("m.C.one(v4)", f"m.C.one[{UUID}](v4)", True),
        ("m.C.one(*)", f"m.C.one[{UUID}](v4)", True),
        ("m.C.one*", f"m.C.one[{UUID}](v4)", True),
        ("t/test_disk.py::test_mount", "t/test_disk.py::test_mount[/var]", False),
        ("t/test_disk.py::test_mount[/v*]", "t/test_disk.py::test_mount[/var]", True),
        ("t/test_disk.py::test_mount[/v*]", "t/test_disk.py::test_mount[/tmp]", False),
        ("t/test_disk.py::test_mount[*", "t/test_disk.py::test_mount[/var]", True),
        ("m.C.on?", "m.C.one", True),
        ("m.C.one[a-z]", "m.C.oneb", False),
        ("m.C.one[id-?]", "m.C.one[id-1]", True),
        ("m.C", "m.C.one", False),
        ("m.C.*", "m.D.one", False),
        ("*.one", f"m.C.one[{UUID}]", True),
        ("*one*", "m.C.one", True),
        ("m.*.one", "m.C.one(x)", False),
        ("m.*.one(*", "m.C.one(x)", True),
        ("m.*.two", "m.C.one(x)", False),
        ("setUpClass (m.*", "setUpClass (m.C)", True),
        (UUID, f"m.C.one[{UUID},smoke]", True),
        (UUID, f"m.C.one[smoke,{UUID}]", True),
        (UUID, f"m.C.one[{UUID[:-1]}0]", False),
        (UUID, "m.C.one", False),
    ],
)
def test_globs_have_only_star_and_question_mark(pattern: str, test_id: str, matches: bool) -> None:
    assert bool(Expectations([entry(pattern)]).of(test_id)) is matches


PIECES = st.text("ab.[(*?", min_size=1, max_size=6)
ATTRIBUTES = st.sampled_from(["", f"[{UUID}]", f"[a,{UUID},b]"])


TEST_IDS = st.builds("{}{}{}".format, PIECES, ATTRIBUTES, st.sampled_from(["", "(b)"]))


def fits(one: Expectation, test_id: str) -> bool:
    """Return whether an entry matches a test, by the documented rules and without an index."""
    forms = [test_id, without_attributes(test_id)]
    if uuid := idempotent(test_id):
        forms.append(f"id-{uuid}")
    return any(glob(one.key).fullmatch(form) for form in forms)


@given(st.lists(st.one_of(PIECES, st.just(UUID)), max_size=6), st.lists(TEST_IDS, max_size=4))
def test_a_lookup_finds_the_same_entries_as_a_comparison_with_each(
    patterns: list[str], test_ids: list[str]
) -> None:
    entries = [entry(pattern) for pattern in patterns]
    known = Expectations(entries)
    for test_id in test_ids:
        wanted = [one for one in known.entries if fits(one, test_id)]
        found = known.of(test_id)
        assert sorted(found, key=wanted.index) == wanted


def test_exact_entries_come_first_and_globs_in_order() -> None:
    entries = [entry("m.C.*"), entry("*"), entry("m.C.one", owner="jim"), entry("m.*")]
    found = Expectations(entries).of(f"m.C.one[{UUID}]")
    assert [one.test for one in found] == ["m.C.one", "*", "m.*", "m.C.*"]


def test_entries_for_skips_are_separate() -> None:
    known = Expectations([entry("m.C.one"), entry("m.C.*", outcome=Outcome.SKIP)])
    assert [one.test for one in known.of("m.C.one")] == ["m.C.one"]
    assert [one.test for one in known.of("m.C.one", Outcome.SKIP)] == ["m.C.*"]


def test_an_entry_excuses_up_to_its_last_day() -> None:
    found = [entry("m.C.one", "2026-11-22")]
    assert valid(found, date(2026, 11, 22)) == found
    assert valid(found, date(2026, 11, 23)) == []


# Strictness ------------------------------------------------------------------------------------


def test_invalid_and_expired_entries_fail_only_the_gate() -> None:
    entries = [
        entry("invalid", bug="", owner=""),
        entry("expired", "2026-11-21"),
        entry("last-day", "2026-11-22"),
        entry("elsewhere", "2026-11-21", scope=Scope(profile=("minicloud",))),
    ]
    reasons = entry_reasons(entries, run_of(), TODAY, GATE)
    assert [(one.level, one.code, one.ids) for one in reasons] == [
        (Level.FAIL, Code.EXPECTATION_INVALID, ("invalid",)),
        (Level.FAIL, Code.EXPECTATION_EXPIRED, ("expired",)),
    ]
    assert "x.yaml:invalid (no bug and no owner)" in reasons[0].message
    assert "x.yaml:expired (2026-11-21, jane)" in reasons[1].message
    for one in entry_reasons(entries, run_of(), TODAY, DEVELOPER):
        assert one.level is Level.NOTE


def test_many_entries_are_listed_in_one_reason_of_limited_length() -> None:
    entries = [entry(f"t{number:03}", "2026-11-21") for number in range(300)]
    (reason,) = entry_reasons(entries, run_of(), TODAY, GATE)
    assert len(reason.ids) == 300
    assert reason.message.endswith("; 280 more")


def test_unmatched_entries_apply_to_the_run_and_match_no_test() -> None:
    entries = [
        entry("m.C.fails"),
        entry("m.C.skipped"),
        entry("m.C.gone"),
        entry("m.C.skipped", outcome=Outcome.SKIP, owner="jim"),
        entry("m.D.*", scope=Scope(profile=("minicloud",))),
    ]
    tests = [(f"m.C.fails[{UUID}]", Outcome.XFAIL), ("m.C.skipped", Outcome.SKIP)]
    known = Expectations(entries, run_of())
    now = unmatched_names(known, [*tests, ("m.C.gone", Outcome.MISSING)])
    assert now == ("m.C.gone", "m.C.skipped")
    elsewhere = Expectations(entries, run_of(profile="minicloud"))
    assert unmatched_names(elsewhere, tests) == (
        "m.C.gone",
        "m.C.skipped",
        "m.D.*; profile: minicloud",
    )
    assert unmatched_names(known, [("m.C.skipped", Outcome.SUCCESS)]) == ("m.C.fails", "m.C.gone")


def test_an_unmatched_entry_is_reported_after_enough_consecutive_runs() -> None:
    known = Expectations([entry("m.C.gone"), entry("m.C.new"), entry("m.C.fails")])
    now = ("m.C.gone", "m.C.new")
    (reason,) = unmatched_note(known, now, {"m.C.gone": 9, "m.C.fails": 30}, 10)
    assert (reason.level, reason.code) == (Level.NOTE, Code.EXPECTATION_UNMATCHED)
    assert reason.ids == ("m.C.gone",)
    assert "1 known failure matched no test in 10 runs or more" in reason.message
    assert unmatched_note(known, now, {"m.C.gone": 8}, 10) == []


def test_an_entry_keeps_its_name_while_its_test_and_scope_are_the_same() -> None:
    scope = Scope(freebsd=("15.*",), profile=("embedded",))
    one = entry("m.C.one", scope=scope)
    assert one.name == "m.C.one; freebsd: 15.*; profile: embedded"
    renewed = entry("m.C.one", "2028-01-01", scope=scope, owner="jim", source="y.yaml:9")
    assert renewed.name == one.name
    assert entry("m.C.one", outcome=Outcome.SKIP).name == "m.C.one; skip"
