# SPDX-License-Identifier: Apache-2.0
"""The start of guests, against QEMU without bsdgate: printed, not asserted.

``tox -e bench -- tests/benchmarks/test_guests.py``. The two kinds of boot take turns.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from functional import guest_image
from functional.place import Place, Started, wait_for
from functional.run_folder import KEYSTONE
from functional.test_qemu_node import BUILT, SLOW, options, pytestmark, ssh, state

from bsdgate.harness.nodes.qemu import boot as boots
from bsdgate.harness.nodes.qemu import machine as hardware
from bsdgate.harness.nodes.qemu import node, seed, snapshots
from bsdgate.harness.nodes.specs import QemuSpec

__all__ = ("pytestmark", "state")

TURNS = 5
RATIO = 1.2
"""The maximum ratio of each figure."""


@pytest.fixture(scope="module")
def image() -> Path:
    return guest_image.build(BUILT)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, tmp_path / "cache")
    yield made
    made.close()


def qemu_command(port: int, mac: str) -> list[str]:
    """Return the command of the same machine, without a console and a monitor for bsdgate."""
    machine = options().machine
    return [
        machine.program,
        *("-machine", "q35", "-accel", "tcg", "-cpu", "max,la57=off"),
        *("-smp", str(machine.cpus), "-m", str(machine.memory_mib), "-nodefaults"),
        *("-display", "none", "-serial", "file:console.log"),
        *("-drive", f"file={hardware.DISK},if=virtio,format=qcow2"),
        *("-drive", f"file={hardware.SEED},if=virtio,format=raw,read-only=on"),
        *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", f"virtio-net-pci,netdev=net,mac={mac},romfile=", "-device", "virtio-rng-pci"),
    ]


def bare_boot(folder: Path, image: Path) -> float:
    """Boot the image in QEMU without bsdgate; return the seconds from its start until a login.

    The key and the seed are made before.
    """
    folder.mkdir()
    key, port, mac = folder / "key", boots.free_port(), hardware.new_mac()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text().strip()
    seed.write(folder / hardware.SEED, seed.Seed("bare", "bare", boots.USER, public, mac))
    disk = ("-b", image, "-F", "qcow2", hardware.DISK)
    trusting = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
    login = ("ssh", "-i", str(key), "-p", str(port), "-o", "BatchMode=yes", *trusting)

    def can_log_in() -> bool:
        argv = [*login, "-o", "ConnectTimeout=30", f"{boots.USER}@127.0.0.1", "true"]
        return subprocess.run(argv, stderr=subprocess.DEVNULL, check=False).returncode == 0

    began = time.perf_counter()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *disk], check=True, cwd=folder)
    with subprocess.Popen(qemu_command(port, mac), cwd=folder) as qemu:
        try:
            wait_for(can_log_in, "a login", 300)
            return time.perf_counter() - began
        finally:
            qemu.kill()


def our_boot(image: Path) -> float:
    """Boot the image by the provider; return the seconds until its sshd accepts a login."""
    began = time.perf_counter()
    running = node.boot("ours", QemuSpec(str(image)), options())
    try:
        return time.perf_counter() - began
    finally:
        running.close()


def test_cache_hit_to_ssh(image: Path, tmp_path: Path) -> None:
    our_boot(image)  # the image is verified and linked into the cache
    times = [(bare_boot(tmp_path / str(turn), image), our_boot(image)) for turn in range(TURNS)]
    bare, ours = (statistics.median(each) for each in zip(*times, strict=True))
    sys.stderr.write(f"\n  from a cached image to ssh: QEMU {bare:.1f} s, bsdgate {ours:.1f} s\n")
    sys.stderr.write(f"  ratio {ours / bare:.2f}, at most {RATIO} is required\n")


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=30):  # noqa: S310 - a URL of this machine
            return True
    except HTTPError:
        return True
    except OSError:
        return False


def first_answer(started: Started, url: str) -> float:
    """Return the seconds from the start of a command until the API answers."""

    def answered() -> bool:
        assert started.popen.poll() in {None, 0}, started.text
        return answers(url)

    wait_for(answered, "an answer of Keystone", 900)
    return time.monotonic() - started.began


def test_snapshot_to_the_first_answer_of_the_api(image: Path, place: Place, state: Path) -> None:
    port = boots.free_port()
    began = time.monotonic()
    running = node.boot("guest", QemuSpec(str(image)), options())
    boot = time.monotonic() - began
    running.keep()
    up = ["bsdgate", "up", *KEYSTONE, "--timeout-factor", SLOW, "--port", f"keystone={port}"]
    ssh(running.guest, *up)  # builds the template
    ssh(running.guest, "bsdgate", "down")
    began = time.monotonic()
    ssh(running.guest, *up)
    services = time.monotonic() - began
    ssh(running.guest, "bsdgate", "down")
    snapshots.save(running.guest, "ready")
    started = place.start(*up, "--on", "qemu:@guest/ready", BSDGATE_STATE_DIR=str(state))
    try:
        ours = first_answer(started, f"http://127.0.0.1:{port}/")
        done = started.done(600)
        assert done.code == 0, done
    finally:
        place.bsdgate("down", "--on", "qemu:@guest/ready", BSDGATE_STATE_DIR=str(state))
        running.guest.remove()
    limit = boot + RATIO * services
    sys.stderr.write(f"\n  boot {boot:.1f} s, start of Keystone in the guest {services:.1f} s\n")
    sys.stderr.write(f"  from the snapshot to the first answer {ours:.1f} s")
    sys.stderr.write(f", at most {limit:.1f} s is required\n")
