# SPDX-License-Identifier: Apache-2.0
"""Proposals from lists of freebsd/freebsd-ci (jobs/*/xfail-list) and from marks in source."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from bsdgate.results.errors import BsdgateError
from bsdgate.results.expectations import Expectation, Scope, load, read
from bsdgate.results.model import Outcome
from bsdgate.results.parsers.junit_ids import report_name
from bsdgate.results.proposals import Proposal, from_source, from_xfail_lists, render

TODAY = date(2026, 11, 22)
UUID = "1be9b2e2-379c-40a4-a269-6687b81df691"

LISTS = {
    "jobs/FreeBSD-main-aarch64-test/xfail-list": "lib.libx.a_test:one\nlib.libx.a_test:main\n",
    "jobs/FreeBSD-main-aarch64-KASAN_test/xfail-list": "lib.libx.a_test:one\n",
    "jobs/FreeBSD-stable-15-aarch64-test/xfail-list": "lib.libx.a_test:one\n\n",
    "jobs/FreeBSD-stable-15-riscv64-test/xfail-list": "lib.libx.a_test:one\nsys.f:a:b\n",
    "jobs/FreeBSD-stable-14-armv7-test/xfail-list": "sys.f:a:b\n",
}

SOURCE = f'''
from tempest.lib import decorators
from neutron_lib.utils import test


class Base(Unknown):
    @decorators.attr(type="smoke")
    @decorators.idempotent_id("{UUID}")
    @test.unstable_test("bug 1756301 / bug 2024160")
    def test_moves(self):
        pass

    @decorators.skip_because(bug="1807723", condition=CONF.x)
    def test_swaps(self):
        pass

    @decorators.unstable_test(bug="2001", bug_type="storyboard")
    @decorators.unstable_test(bug="2002", bug_type="storyboard")
    def test_twice(self):
        pass

    @unstable_test("it depends")
    def _helper(self):
        pass

    @decorators.related_bug("1")
    def test_fine(self):
        pass


@decorators.skip_because(bug="5")
class Whole(Base):
    def test_x(self):
        pass
'''


def test_architectures_with_the_same_branches_share_a_proposal() -> None:
    found = {(one.test, tuple(one.scope["architecture"])): one for one in from_xfail_lists(LISTS)}
    assert {key: one.scope.get("freebsd") for key, one in found.items()} == {
        ("lib/libx/a_test:one", ("aarch64",)): ("15.*", ">=16"),
        ("lib/libx/a_test:one", ("riscv64",)): ("15.*",),
        ("lib/libx/a_test:main", ("aarch64",)): (">=16",),
        ("sys/f:a:b", ("riscv64",)): ("15.*",),
        ("sys/f:a:b", ("armv7",)): ("14.*",),
    }
    one = found["lib/libx/a_test:one", ("aarch64",)]
    assert one.source == (
        "xfail-list of FreeBSD-main-aarch64-KASAN_test, FreeBSD-main-aarch64-test,"
        " FreeBSD-stable-15-aarch64-test"
    )


def test_without_a_stable_branch_the_version_of_main_is_left_open() -> None:
    text = LISTS["jobs/FreeBSD-main-aarch64-test/xfail-list"]
    first, _ = from_xfail_lists({"FreeBSD-main-aarch64-test/xfail-list": text})
    assert first.scope == {"architecture": ["aarch64"]}


def test_all_invalid_lists_are_reported_together() -> None:
    with pytest.raises(BsdgateError) as caught:
        from_xfail_lists({
            "jobs/FreeBSD-main-arm64-test/xfail-list": "a:b\nnonsense\n:x\n",
            "elsewhere/xfail-list": "",
        })  # fmt: skip
    message = caught.value.message
    assert "FreeBSD-main-arm64-test/xfail-list:2: 'nonsense'" in message
    assert "FreeBSD-main-arm64-test/xfail-list:3: ':x'" in message
    assert "elsewhere/xfail-list: no job" in message


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    folder = tmp_path / "a_plugin"
    (folder / "api").mkdir(parents=True)
    (folder / "api" / "test_things.py").write_text(SOURCE)
    (folder / "plain.py").write_text("raise SystemExit('it was imported')\n")
    return folder


def test_marks_are_read_without_an_import(plugin: Path) -> None:
    found = [(one.test, one.bug, one.outcome) for one in from_source("a_plugin", plugin)]
    class_ = "a_plugin.api.test_things"
    assert found == [
        (f"id-{UUID}", "https://launchpad.net/bugs/1756301", Outcome.SKIP),
        (f"{class_}.Base.test_swaps", "https://launchpad.net/bugs/1807723", Outcome.SKIP),
        (
            f"{class_}.Base.test_twice",
            "https://storyboard.openstack.org/#!/story/2001",
            Outcome.SKIP,
        ),
        (f"{class_}.Base.*", "", Outcome.SKIP),
        (f"{class_}.Whole.*", "https://launchpad.net/bugs/5", Outcome.SKIP),
    ]


def test_a_proposal_has_its_source(plugin: Path) -> None:
    first, second, third, *_ = from_source("a_plugin", plugin)
    assert first.source == "unstable_test at a_plugin/api/test_things.py:9, test_moves"
    assert "also https://launchpad.net/bugs/2024160" in first.reason
    assert second.source.startswith("skip_because at ")
    assert "also https://storyboard.openstack.org/#!/story/2002" in third.reason


def test_a_directory_can_be_a_part_of_a_package(plugin: Path) -> None:
    first, *_ = from_source("a_plugin.api", plugin / "api")
    assert "a_plugin/api/test_things.py:9" in first.source


@pytest.mark.parametrize("source", ["def unstable_test(:\n", "unstable_test\0", "(" * 5000])
def test_a_file_that_is_not_python_is_reported(tmp_path: Path, source: str) -> None:
    (tmp_path / "x.py").write_text(f"# unstable_test\n{source}")
    with pytest.raises(BsdgateError, match=r"x\.py cannot be read as Python"):
        from_source("p", tmp_path)


def test_an_incomplete_proposal_does_not_load(tmp_path: Path, plugin: Path) -> None:
    found = [*from_xfail_lists(LISTS), *from_source("a_plugin", plugin)]
    file = tmp_path / "proposed.yaml"
    file.write_text(render(found, TODAY))
    entries, problems = read([file])
    assert entries == ()
    assert sum("complete the entry" in problem for problem in problems) == len(found)
    assert sum("expires: a day was expected" in problem for problem in problems) == len(found)


def test_a_completed_proposal_loads(tmp_path: Path) -> None:
    scope = {"architecture": ["aarch64", "armv7"], "freebsd": ["15.*"]}
    proposal = Proposal("lib/a:b", "a list", 'odd: "reason" # here', scope=scope)
    lines = render([proposal], TODAY).splitlines()
    complete = {"bug:": " https://b/1", "owner:": " jane", "expires:": " 2027-01-01"}
    text = "\n".join(
        line.replace("- proposal: a list", "-") + complete.get(line.strip(), "") for line in lines
    )
    file = tmp_path / "a.yaml"
    file.write_text(text)
    (entry,) = load([file])
    assert entry == Expectation(
        test="lib/a:b",
        bug="https://b/1",
        owner="jane",
        reason='odd: "reason" # here',
        since=TODAY,
        expires=date(2027, 1, 1),
        scope=Scope(architecture=("aarch64", "armv7"), freebsd=("15.*",)),
        source=entry.source,
    )


def test_names_with_special_characters_are_rendered_as_yaml() -> None:
    hostile = Proposal("a: [b]\n- c", "x\ny: z", "# \x1b[31m {", outcome=Outcome.SKIP)
    (entry,) = yaml.safe_load(render([hostile], TODAY))
    assert (entry["test"], entry["proposal"], entry["reason"]) == (
        hostile.test,
        hostile.source,
        hostile.reason,
    )
    assert entry["outcome"] == "skip"


@pytest.mark.parametrize(
    ("classname", "path"),
    [
        ("usr.sbin.demo.demo_test", "usr.sbin/demo/demo_test"),
        ("usr.bin.demo.deep.demo_test", "usr.bin/demo/deep/demo_test"),
        ("gnu.usr.bin.demo.demo_test", "gnu/usr.bin/demo/demo_test"),
        ("bin.demo.demo_test", "bin/demo/demo_test"),
        ("sys.busr.bin.demo_test", "sys/busr/bin/demo_test"),
        ("usr.binary.demo_test", "usr/binary/demo_test"),
    ],
)
def test_directories_with_a_dot_in_their_name_keep_it(classname: str, path: str) -> None:
    """The name of the id in a report then has the spelling of the list."""
    line = f"{classname}:case"
    (found,) = from_xfail_lists({"jobs/FreeBSD-main-amd64-test/xfail-list": line})
    assert found.test == f"{path}:case"
    assert report_name(found.test) == f"{classname}.case"
