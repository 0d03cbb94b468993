# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.commands.reproduce: the options of a run that reproduces another one."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from unit.harness.manifests import manifest

from bsdgate.harness.commands import reproduce as command
from bsdgate.harness.commands.builds import Build, Ref
from bsdgate.harness.commands.reproduce import Original, Reproduction, options_of
from bsdgate.harness.errors import UsageError
from bsdgate.harness.manifest import AskedProject
from bsdgate.results.model import Case, Disposition, Outcome, Result, Run, Verdict

KEYSTONE = AskedProject(project="keystone", source="src/keystone", identity="commit")
REF = Ref(
    project="openstack/keystone",
    ref="refs/changes/45/12345/3",
    ref_url="https://review.example.org/c/openstack/keystone/+/12345",
)
SPLIT = [["m.A.one[id-1]"], ["m.B.one"]]


def original(*dispositions: Disposition, **fields: Any) -> Original:
    cases = tuple(Case(name, Outcome.FAIL) for share in SPLIT for name in share)
    run = Run("run", datetime.now(UTC))
    verdict = Verdict(run, Result.FAIL, (), cases, dispositions=dispositions)
    return Original(Path("/run"), manifest(**fields), verdict, SPLIT)


def as_build(build: Build, asked: Reproduction, **fields: Any) -> tuple[Reproduction, str]:
    """Return the options for a build, and the printed lines."""
    output = io.StringIO()
    found = command._as_build(manifest(**fields), build, asked, Console(file=output, width=200))
    return found, output.getvalue()


def test_the_request_of_the_run_is_repeated() -> None:
    options = options_of(original(changes=(KEYSTONE,), on="ssh://a@b"), Reproduction())
    assert (options.changes, options.on) == (("keystone=src/keystone",), "ssh://a@b")
    assert (options.split, options.review) == (SPLIT, None)


def test_only_failed_tests_are_selected_by_their_whole_ids() -> None:
    failed = Disposition("m.A.one[id-1]", counts=True)
    options = options_of(original(failed, policy="gate"), Reproduction(only_failed=True))
    assert options.tests == r"^(?:m\.A\.one\[id\-1\])$"
    assert options.policy == "developer"


def test_without_a_failed_test_there_is_nothing_to_select() -> None:
    with pytest.raises(UsageError, match="no test of /run failed"):
        options_of(original(), Reproduction(only_failed=True))


def test_a_build_is_reproduced_on_this_machine_with_its_change() -> None:
    build = Build(uuid="u", job_name="job", ref=REF)
    found, text = as_build(build, Reproduction(), changes=(KEYSTONE,), on="zuul:freebsd")
    assert found.changes[0].startswith(
        "keystone=git+https://review.example.org/openstack/keystone@"
    )
    assert "the build ran on zuul:freebsd, this run is on this machine" in text
    assert options_of(original(on="zuul:freebsd"), found).on is None


def test_a_node_and_a_source_can_be_given() -> None:
    asked = Reproduction(changes=("keystone=/k",), on="qemu:15.1")
    found, _ = as_build(Build(uuid="u", job_name="job"), asked, changes=(KEYSTONE,), on="zuul:n")
    assert found == asked


def test_an_unknown_source_of_a_change_is_an_error() -> None:
    with pytest.raises(UsageError, match="its source is not known") as error:
        as_build(Build(uuid="u", job_name="job"), Reproduction(), changes=(KEYSTONE,))
    assert error.value.hint == "give it: --with keystone=PATH"


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run directory"):
        command.read(tmp_path)
