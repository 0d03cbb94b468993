# SPDX-License-Identifier: Apache-2.0
"""A guest in a real QEMU.

The image is built from Debian's packages (guest_image.py). BSDGATE_TEST_IMAGE can name another
image that reads the seed, such as one of FreeBSD. BSDGATE_TIMEOUT_FACTOR multiplies the time
limits.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from functional import guest_disk, guest_image
from functional.place import Place, Started, wait_for
from functional.run_folder import FEW, KEYSTONE, TWO, RunFolder, runs

from bsdgate.harness import process
from bsdgate.harness.deployments.table import needs_of
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.nodes.qemu import accelerator as accelerators
from bsdgate.harness.nodes.qemu import clock, node, probe, snapshots
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu import machine as hardware
from bsdgate.harness.nodes.qemu.boot import RunningGuest
from bsdgate.harness.nodes.qemu.console import Stage
from bsdgate.harness.nodes.qemu.guest import Guest, State
from bsdgate.harness.nodes.qemu.machine import Machine
from bsdgate.harness.nodes.qemu.node import Options
from bsdgate.harness.nodes.specs import QemuSpec, SavedGuest
from bsdgate.harness.nodes.ssh import SshNode
from bsdgate.harness.profiles.load import load

# The fixture ``home`` removes the variables, so they are read before.
IMAGE = os.environ.get("BSDGATE_TEST_IMAGE")
"""The image that the environment names."""
FACTOR = float(os.environ.get("BSDGATE_TIMEOUT_FACTOR", "1"))
BUILT = Path(sys.prefix).parent / "guests"
"""The directory for the images that the tests build."""
MEMORY = int(os.environ.get("BSDGATE_TEST_MEMORY", "512"))
SLOW = "10"
"""The factor for time limits of a run with an emulated guest."""
# Boots a guest and waits to be killed at a stage.
CONTROLLER = """
import signal, sys
from bsdgate.harness.nodes.specs import QemuSpec
from bsdgate.harness.nodes.qemu import node
from bsdgate.harness.nodes.qemu.machine import Machine
def report(stage, seconds):
    if stage == sys.argv[2]:
        print("there", flush=True)
        signal.pause()
options = node.Options(machine=Machine(cpus=1, memory_mib=int(sys.argv[3])), report=report)
node.boot("killed", QemuSpec(sys.argv[1]), options)
"""

pytestmark = [
    pytest.mark.downloads,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        shutil.which("qemu-system-x86_64") is None or shutil.which("qemu-img") is None,
        reason="QEMU is missing: install qemu-system-x86 and qemu-utils",
    ),
]


@pytest.fixture(scope="module")
def image() -> Path:
    """Return the image that the environment names, or else the image that is built."""
    if IMAGE:
        return Path(IMAGE)
    try:
        return guest_image.build(BUILT)
    except guest_disk.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module", autouse=True)
def state() -> Iterator[Path]:
    temporary = tempfile.TemporaryDirectory(prefix="bsdgate-test-")
    with temporary as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BSDGATE_STATE_DIR", f"{folder}/state")
        patch.setenv("BSDGATE_CACHE_DIR", f"{folder}/cache")
        yield Path(folder) / "state"
        for guest in guests.every():
            guest.remove()


def options(reached: dict[Stage, float] | None = None) -> Options:
    stages = {} if reached is None else reached
    machine = Machine(cpus=1, memory_mib=MEMORY)
    return Options(machine=machine, factor=FACTOR, report=stages.__setitem__)


@pytest.fixture(scope="module")
def running(image: Path, state: Path) -> Iterator[RunningGuest]:
    """Return a guest that all tests use."""
    stages: dict[Stage, float] = {}
    started = time.monotonic()
    made = node.boot("guest", QemuSpec(str(image)), options(stages))
    seconds = time.monotonic() - started
    shown = ", ".join(f"{stage} {at:.1f} s" for stage, at in stages.items())
    sys.stderr.write(f"\nbooted in {seconds:.1f} s ({made.reason}): {shown}\n")
    assert list(stages) == list(Stage)
    made.keep()
    yield made
    made.guest.remove()


def ssh(guest: Guest, *command: str) -> str:
    argv = ["ssh", "-o", "BatchMode=yes", *guest.address.options, *command]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_the_guest_has_the_name_and_the_user_of_the_seed(running: RunningGuest) -> None:
    assert ssh(running.guest, "hostname").strip() == "guest"
    assert ssh(running.guest, "id", "-un").strip() == "freebsd"
    assert running.guest.state is State.RUNNING


def test_the_console_log_has_all_output(running: RunningGuest) -> None:
    log = running.guest.path(hardware.CONSOLE_LOG).read_bytes()
    assert b"login: " in log
    assert b"firstboot_pkg_upgrade: " not in log


def test_the_image_is_not_changed(running: RunningGuest, image: Path) -> None:
    before = image.stat().st_mtime_ns
    ssh(running.guest, "echo text >file && sync")
    assert image.stat().st_mtime_ns == before


def test_a_changed_host_key_is_refused(running: RunningGuest) -> None:
    known = running.guest.path(guests.KNOWN_HOSTS)
    right = known.read_text()
    key = running.guest.path("key.pub").read_text().split()
    known.write_text(f"{guests.HOST_KEY_ALIAS} {key[0]} {key[1]}\n")
    try:
        with pytest.raises(subprocess.CalledProcessError) as error:
            ssh(running.guest, "true")
        assert "HOST IDENTIFICATION HAS CHANGED" in error.value.stderr
    finally:
        known.write_text(right)


def test_a_snapshot_is_restored_with_the_right_clock(
    running: RunningGuest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest, log = running.guest, tmp_path / "log"
    ssh(guest, "echo before >state")
    with monkeypatch.context() as patch:
        patch.setattr(clock, "time", SimpleNamespace(time=lambda: time.time() - 3600))
        clock.set_clock(guest.address, log, FACTOR)
    started = time.monotonic()
    snapshots.save(guest, "ready", FACTOR)
    saved = time.monotonic()
    ssh(guest, "echo after >state")
    begun = time.monotonic()
    ahead = snapshots.restore(guest, "ready", FACTOR)
    restored = time.monotonic()
    assert ssh(guest, "cat state").strip() == "before"
    assert ahead == pytest.approx(-3600, abs=600)
    assert abs(clock.set_clock(guest.address, log, FACTOR)) < clock.TOLERANCE * FACTOR
    sys.stderr.write(f"\nsaved in {saved - started:.1f} s, restored in {restored - begun:.1f} s\n")
    assert snapshots.names(guest) == ["ready"]


def test_a_copy_starts_from_the_snapshot(running: RunningGuest) -> None:
    if "ready" not in snapshots.names(running.guest):
        snapshots.save(running.guest, "ready", FACTOR)
    started = time.monotonic()
    copy = node.boot("copy", QemuSpec(SavedGuest("guest", "ready")), options())
    sys.stderr.write(f"\na copy answers after {time.monotonic() - started:.1f} s\n")
    try:
        assert ssh(copy.guest, "echo here").strip() == "here"
        assert copy.guest.require_record().port != running.guest.require_record().port
        ssh(copy.guest, "echo copy >state")
        assert ssh(running.guest, "cat state 2>/dev/null || true").strip() != "copy"
    finally:
        copy.close()
    assert running.guest.state is State.RUNNING


def test_the_port_is_open_only_on_the_loopback_address(running: RunningGuest) -> None:
    found = psutil.net_connections("tcp")
    port = running.guest.require_record().port
    listening = {each.laddr.ip for each in found if each.laddr and each.laddr.port == port}
    assert listening == {"127.0.0.1"}


def test_a_taken_port_is_an_error(running: RunningGuest, image: Path) -> None:
    same_port = replace(options(), port=running.guest.require_record().port)
    with pytest.raises(InfrastructureError, match="the port .* in use"):
        node.boot("other", QemuSpec(str(image)), same_port)
    assert [guest.name for guest in guests.every()] == ["guest"]


def test_the_next_boot_removes_a_guest_of_a_killed_harness(image: Path, state: Path) -> None:
    """The campaign has the other stages: CI boots a guest three times only."""
    kill_harness(image, Stage.SSH)
    Guest.make("next").remove()
    assert "killed" not in [each.name for each in guests.every()]


def kill_harness(image: Path, stage: Stage) -> None:
    """Kill a harness when its guest reaches a stage, and check that only files are left."""
    argv = [sys.executable, "-c", CONTROLLER, str(image), stage.value, str(MEMORY)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as harness:
        assert harness.stdout is not None
        assert harness.stdout.readline() == b"there\n"
        guest = Guest.named("killed")
        record = guest.require_record()
        guard = psutil.Process(record.pid)
        harness.send_signal(signal.SIGKILL)
        harness.wait()
    guard.wait(60)
    assert guest.state is State.LEFT
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", record.port))


def test_the_kernel_of_the_probe_works_under_emulation(tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(probe.KERNEL)
    command = [
        {"kvm": "tcg", "host": "max"}.get(word, word)
        for word in accelerators._command("qemu-system-x86_64")
    ]
    output = tmp_path / "output"
    with process.start(command, cwd=tmp_path, log=tmp_path / "log", stdout=output) as running:
        assert running.wait(60) == 33, (tmp_path / "log").read_text()
    assert output.read_bytes().strip() == probe.ANSWER


@pytest.mark.skipif(not shutil.which("qemu-system-aarch64"), reason="QEMU for arm64 is missing")
def test_an_arm64_guest_starts_its_firmware(image: Path, state: Path, tmp_path: Path) -> None:
    """The stage of the loader is reached. The image is for amd64, so the guest does not boot."""
    try:
        hardware.firmware()
    except InfrastructureError as missing:
        pytest.skip(missing.message)
    machine = Machine("arm64", 1, MEMORY)
    reached: dict[Stage, float] = {}

    class Reached(Exception):
        """The loader is reached."""

    def report(stage: Stage, seconds: float) -> None:
        reached[stage] = seconds
        raise Reached

    arm64 = Options(machine=machine, factor=FACTOR, logs=tmp_path, report=report)
    with pytest.raises(Reached):
        node.boot("arm", QemuSpec(str(image)), arm64)
    assert list(reached) == [Stage.LOADER]
    assert "arm" not in [guest.name for guest in guests.every()]


# Runs with a cloud in a guest -----------------------------------------------------------------


@pytest.fixture(scope="module")
def refusal(
    running: RunningGuest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, str] | None:
    """Return None if a run can use the image, else the exit code and a part of the run's error.

    An image without bsdgate needs packages, or a package repository that it reaches.
    """
    folder = tmp_path_factory.mktemp("look")
    address = running.guest.address
    with contextlib.closing(SshNode(address, folder, folder, factor=FACTOR)) as connected:
        connected.reach()
        if connected.has_same_bsdgate():
            return None
        try:
            plan = connected.look(needs_of(load("keystone")))
        except UsageError as error:
            # The Python of the guest needs a package that this machine does not have.
            return 2, error.message
    report = plan.report
    can_install = report.pkg is not None and report.root != "none" and report.reachable
    return None if plan.ready or (can_install and not plan.wrong) else (3, plan.next_step())


def versions(guest: Guest) -> dict[str, str]:
    """Return the facts of the guest's system, as FreeBSD's own commands print them."""
    if ssh(guest, "uname").strip() != "FreeBSD":
        return {"system": ssh(guest, "uname -sr").strip()}
    kernel, running_kernel, userland = ssh(guest, "freebsd-version -kru").split()
    return {
        "freebsd_kernel": kernel,
        "freebsd_running_kernel": running_kernel,
        "freebsd_userland": userland,
        "osreldate": ssh(guest, "uname -K").strip(),
    }


@pytest.fixture(scope="module")
def selection() -> str:
    """Return the pattern of the tests that run against a cloud in a guest.

    Emulation needs minutes for all smoke tests of identity: the campaign runs these.
    """
    return FEW


def start_run(place: Place, on: str, tests: str, **variables: str) -> Started:
    arguments = ("run", "--on", on, *KEYSTONE, "--tests", tests, *TWO)
    return place.start("bsdgate", *arguments, "--timeout-factor", SLOW, **variables)


def test_keystone_in_a_guest_passes_the_smoke_tests(
    running: RunningGuest,
    refusal: tuple[int, str] | None,
    place: Place,
    image: Path,
    selection: str,
) -> None:
    """An image without bsdgate is bootstrapped; if that is impossible, the run prints why."""
    # Emulation needs minutes to build the templates: the run copies the templates of this machine.
    for verb in (("up", *KEYSTONE), ("down",)):
        assert place.bsdgate(*verb).code == 0
    done = start_run(place, f"qemu:{image}", selection).done(1500 * FACTOR)
    sys.stderr.write(f"\n{done.text}\n")
    place.wait_until_empty()
    if refusal is not None:
        code, text = refusal
        assert (done.code, text in done.text) == (code, True), done
        return
    assert done.code == 0, done
    folder = runs(place)[-1]
    assert folder.verdict["result"] == "PASS"
    node_document = folder.read("node.json")
    assert node_document["facts"]["accelerator"] in {"kvm", "tcg"}
    assert versions(running.guest).items() <= node_document["facts"].items()
    assert list(folder.attempts) == ["01-hostchecks", "02-tempest"]
    asked = folder.asked("02-tempest")
    assert len(asked) > 5
    good = {case["id"] for case in folder.verdict["cases"] if case["outcome"] == "success"}
    assert set(asked) <= good
    assert (folder.path / "logs" / "services" / "keystone.log").stat().st_size > 0
    assert b"login: " in (folder.path / "logs" / hardware.CONSOLE_LOG).read_bytes()
    assert list((place.state / "guests").iterdir()) == []


def test_a_guest_that_is_killed_during_a_run_is_an_error_of_the_node(
    running: RunningGuest, refusal: tuple[int, str] | None, state: Path, place: Place
) -> None:
    if refusal is not None:
        pytest.skip(f"a run does not start its services in this image: {refusal[1]}")
    if "ready" not in snapshots.names(running.guest):
        snapshots.save(running.guest, "ready", FACTOR)
    before = {guest.name for guest in guests.every()}
    started = start_run(place, "qemu:@guest/ready", FEW, BSDGATE_STATE_DIR=str(state))

    def deploying() -> bool:
        assert started.popen.poll() is None, started.text
        return " deploy\n" in started.text

    wait_for(deploying, "the step deploy begins", 300)
    (name,) = {guest.name for guest in guests.every()} - before
    guard = psutil.Process(Guest.named(name).require_record().pid)
    for process_of_qemu in guard.children():
        process_of_qemu.kill()
    done = started.done(300)
    assert done.code == 3, done
    (folder,) = (state / "runs").iterdir()
    verdict = RunFolder(folder).verdict
    assert verdict["result"] == "ERROR"
    assert "node-lost" in {reason["code"] for reason in verdict["reasons"]}
    assert {guest.name for guest in guests.every()} == before
