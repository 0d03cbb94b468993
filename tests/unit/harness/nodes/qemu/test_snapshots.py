# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.nodes.qemu.snapshots and monitor, with a simulated QEMU."""

from dataclasses import replace
from pathlib import Path

import pytest
from fakes.qemu import LATE_CLOCK, SimulatedQemu
from unit.harness.nodes.qemu.conftest import Boot

from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.nodes.qemu import boot as boots
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu import monitor, snapshots
from bsdgate.harness.nodes.qemu.boot import BootRequest
from bsdgate.harness.nodes.qemu.console import Stage
from bsdgate.harness.nodes.qemu.guest import Guest, State


def test_snapshots_are_saved_restored_and_deleted(boot: Boot, boot_request: BootRequest) -> None:
    guest = boot(boot_request).guest
    with monitor.connected(guest.path(guests.MONITOR)) as control:
        for name in ("one", "two"):
            control.save(name)
        assert control.snapshots() == ["one", "two"]
        control.delete("one")
        control.restore("two")
        assert control.snapshots() == ["two"]


def test_a_snapshot_that_fails_is_an_error(
    boot: Boot, qemu: SimulatedQemu, boot_request: BootRequest
) -> None:
    qemu.behave(job_error="No space left on device")
    guest = boot(boot_request).guest
    failed = pytest.raises(InfrastructureError, match="snapshot-save 'one': No space left")
    with monitor.connected(guest.path(guests.MONITOR)) as control, failed:
        control.save("one")


def test_an_unknown_command_is_an_error(boot: Boot, boot_request: BootRequest) -> None:
    guest = boot(boot_request).guest
    failed = pytest.raises(
        InfrastructureError, match="QEMU did not execute refused: no such command"
    )
    with monitor.connected(guest.path(guests.MONITOR)) as control, failed:
        control.execute("refused")


def test_a_guest_that_has_ended_does_not_answer(boot: Boot, boot_request: BootRequest) -> None:
    running = boot(boot_request)
    running.end()
    connecting = monitor.connected(running.guest.path(guests.MONITOR))
    with pytest.raises(InfrastructureError, match="cannot connect to QEMU") as error, connecting:
        pass
    assert "bsdgate node list" in (error.value.hint or "")
    running.guest.remove()


def test_a_copy_starts_from_the_snapshot_with_the_same_key_and_another_port(
    boot: Boot, qemu: SimulatedQemu, boot_request: BootRequest
) -> None:
    boot(boot_request).keep()
    source = Guest.named("guest")
    snapshots.save(source, "ready")
    qemu.write("ssh", LATE_CLOCK)
    reached: list[Stage] = []
    made = boots.boot_copy(
        "copy", source, "ready", boot_request, lambda stage, _: reached.append(stage)
    )
    copy = made.guest
    try:
        assert reached == [Stage.SSH]
        assert "-loadvm ready" in qemu.arguments
        assert (qemu.bin / "ssh.set").exists()
        for name in (guests.KEY, guests.KNOWN_HOSTS):
            assert copy.path(name).read_bytes() == source.path(name).read_bytes()
        assert copy.require_record().port != source.require_record().port
        assert (copy.require_record().mac, copy.require_record().base) == (
            source.require_record().mac,
            source.require_record().base,
        )
        assert str(copy.folder) in copy.path(guests.SSH_CONFIG).read_text()
        assert source.state is State.RUNNING
    finally:
        made.close()
        source.remove()


def test_a_copy_that_fails_leaves_only_its_logs(
    boot: Boot, qemu: SimulatedQemu, boot_request: BootRequest, tmp_path: Path
) -> None:
    boot(boot_request).keep()
    source = Guest.named("guest")
    snapshots.save(source, "ready")
    # The login succeeds, but not the script that sets the clock.
    qemu.write("ssh", '#!/bin/sh\nfor last; do :; done\ntest "$last" = true\n')
    copied = replace(boot_request, logs=tmp_path)
    with pytest.raises(InfrastructureError, match="clock of the guest cannot be set"):
        boots.boot_copy("copy", source, "ready", copied, lambda *_: None)
    assert (tmp_path / "console.log").exists()
    assert [each.name for each in guests.every()] == ["guest"]


def test_a_copy_needs_a_guest_that_runs_and_has_the_snapshot(
    boot: Boot, qemu: SimulatedQemu, boot_request: BootRequest
) -> None:
    boot(boot_request).keep()
    source = Guest.named("guest")
    with pytest.raises(UsageError, match="no snapshot 'ready'") as error:
        boots.boot_copy("copy", source, "ready", boot_request, lambda *_: None)
    assert "bsdgate node snapshot guest" in (error.value.hint or "")
    source.end()
    with pytest.raises(UsageError, match="the guest guest is stopped"):
        boots.boot_copy("copy", source, "ready", boot_request, lambda *_: None)
    assert [each.name for each in guests.every()] == ["guest"]
