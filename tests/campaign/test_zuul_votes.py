# SPDX-License-Identifier: Apache-2.0
"""The gate with all services: votes, reproduced builds, hostile changes, and jobs with a guest."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from functional import gerrit, guest_disk, guest_image
from functional.place import Place, wait_for
from functional.run_folder import runs
from functional.test_qemu_node import BUILT, SLOW
from functional.test_zuul_stack_votes import (
    BUILD,
    DEFECT,
    FAILED,
    MODULE,
    Gate,
    gating,
    keystone,
)
from functional.zuul_stack import machine, stack
from functional.zuul_stack.layout import FREEBSD_TENANT
from functional.zuul_stack.seed import BSDGATE, GUEST_JOB, PLACEMENT

pytestmark = pytest.mark.downloads

EMULATED = 1800.0
"""The maximum time of a build in an emulated guest, in seconds."""


@pytest.fixture(scope="module")
def gate(zuul_home: stack.Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Run a Zuul. Its jobs use the profile of production, with all services."""
    with (
        stack.serving(zuul_home, {}) as zuul,
        gating(zuul, tmp_path_factory.mktemp("gate")) as found,
    ):
        yield found


def test_all_services_give_plus_one(gate: Gate) -> None:
    change = gate.push({MODULE: keystone(gate.zuul.layout, "# A comment.\n        ")})
    passed = gate.posted(change)
    passed.show()
    assert (passed.build["result"], change.vote(gerrit.CI[0])) == ("SUCCESS", 1)


def test_a_failed_build_is_reproduced(gate: Gate, place: Place) -> None:
    change = gate.push({MODULE: keystone(gate.zuul.layout, DEFECT)})
    failed = gate.posted(change)
    failed.show()
    assert change.vote(gerrit.CI[0]) == -1
    # Zuul's own address of the build has the port with which the state was made.
    url = f"{gate.zuul.layout.web_url}/t/{FREEBSD_TENANT}/build/{failed.build['uuid']}"
    # The proxies of the tests lead nowhere.
    direct = {"no_proxy": "127.0.0.1"}
    done = place.start("bsdgate", "reproduce", url, **direct).done(BUILD * 2)
    sys.stdout.write(f"\n{done.text}\n")
    assert done.code == 1, done
    # The build tested a checkout, and this run the commit: all else is the same.
    _, _, differing = done.text.partition("differs from ")
    (line,) = filter(None, differing.splitlines()[1:])
    assert line.startswith("  the source of keystone was sha256:")
    assert FAILED in done.text
    only = ("--only-failed", "--until-fail", "2")
    part = place.start("bsdgate", "reproduce", url, *only, **direct).done(BUILD * 2)
    assert part.code == 1, part
    assert len(runs(place)[-1].asked("02-tempest")) == 1


def test_a_change_that_depends_on_a_change_of_bsdgate_gets_no_vote(gate: Gate) -> None:
    """Zuul does not use the playbooks of the other change; the comment has the reason."""
    run = Path("roles", "run-bsdgate", "tasks", "main.yaml")
    hostile = gate.push({str(run): "- name: Pass\n  ansible.builtin.meta: noop\n"}, BSDGATE)
    url = f"{gate.zuul.layout.gerrit_url}/c/{BSDGATE}/+/{hostile.number}"
    change = gate.push(
        {MODULE: keystone(gate.zuul.layout, "# Another comment.\n        ")},
        footer=f"Depends-On: {url}",
    )
    posted = gate.posted(change)
    posted.show()
    assert posted.build["result"] == "SUCCESS"
    assert change.vote(gerrit.CI[0]) == 0
    assert f"a change of {BSDGATE}" in posted.text


# Jobs with a guest ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guests(zuul_home: stack.Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Run a Zuul with a job that boots a Debian guest. Without KVM the guest is emulated."""
    try:
        image = guest_image.build(BUILT)
    except guest_disk.Missing as missing:
        pytest.skip(str(missing))
    variables: dict[str, Any] = {
        "bsdgate_profile": "keystone",
        "bsdgate_on": f"qemu:{image}",
        "bsdgate_options": ["--timeout-factor", SLOW],
    }
    with (
        stack.serving(zuul_home, variables) as zuul,
        gating(zuul, tmp_path_factory.mktemp("guests"), GUEST_JOB, PLACEMENT, EMULATED) as found,
    ):
        yield found


def qemu_processes(zuul: stack.Stack) -> list[psutil.Process]:
    """Return the QEMU processes in the namespace of a stack."""
    found = []
    for pid in machine.processes_in(zuul.namespace):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.name().startswith("qemu-system"):
                found.append(process)
    return found


def test_a_job_with_a_guest_votes(guests: Gate) -> None:
    change = guests.push({"a.txt": "1\n"}, PLACEMENT)
    posted = guests.posted(change)
    posted.show()
    assert change.vote(gerrit.CI[0]) == 1
    assert not qemu_processes(guests.zuul)


def test_a_guest_that_is_killed_gives_no_vote(guests: Gate) -> None:
    change = guests.push({"b.txt": "1\n"}, PLACEMENT)
    wait_for(lambda: guests.running(change) or guests.ended(change), "a test reports", EMULATED)
    running = qemu_processes(guests.zuul)
    assert running
    for process in running:
        process.send_signal(signal.SIGKILL)
    posted = guests.posted(change)
    posted.show()
    assert change.vote(gerrit.CI[0]) == 0
    assert posted.text.startswith("NO VOTE"), posted.text
    assert "node-lost" in posted.text
