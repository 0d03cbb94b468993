# SPDX-License-Identifier: Apache-2.0
"""Clouds that runs have left: with --keep, or because the harness was killed."""

import contextlib
import os
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bsdgate.harness import files, paths
from bsdgate.harness.cloud.client import Cloud
from bsdgate.harness.commands import node_connections
from bsdgate.harness.confirm import AGAIN, BASE
from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes.connection import KeptConnection
from bsdgate.harness.nodes.ssh import KEPT


def clouds_of(run_dir: Path) -> list[Cloud]:
    """Return the clouds in a run directory: the cloud of the run, and the clouds for re-runs."""
    clouds = [Cloud(run_dir / site / "cloud") for site in ("", AGAIN, BASE)]
    return [each for each in clouds if (each.directory / "lock").exists()]


def left() -> list[tuple[Path, Cloud]]:
    """Return the clouds of runs that are over, with the run directory of each."""
    runs = sorted(path.parent for path in (paths.state() / "runs").glob("*/manifest.json"))
    over = [run for run in runs if not files.is_locked(run / "lock")]
    return [(run, cloud) for run in over for cloud in clouds_of(run)]


def show(console: Console) -> None:
    """List the clouds that runs have left, if there are any, and the command that ends each."""
    found, on_nodes = left(), left_on_nodes()
    if not found and not on_nodes:
        return
    table = Table(title="clouds that runs have left", title_justify="left")
    for column in ("state", "since", "how to end it"):
        table.add_column(column, overflow="fold")
    for run, cloud in found:
        state = cloud.status()["state"]
        since = _since(cloud.directory / "lock")
        table.add_row(state, since, f"bsdgate down {shlex.quote(str(run))}")
    for run, kept in on_nodes:
        row = (f"kept on {kept.on}", _since(run / KEPT), f"bsdgate down {shlex.quote(str(run))}")
        table.add_row(*row)
    console.print(table)


def left_on_nodes() -> list[tuple[Path, KeptConnection]]:
    """Return the runs that have kept a cloud on another machine, and the connection of each."""
    runs = sorted(path.parent for path in (paths.state() / "runs").glob(f"*/{KEPT}"))
    return [(run, kept) for run in runs if (kept := KeptConnection.load(run / KEPT))]


def _since(file: Path) -> str:
    try:
        changed = file.stat().st_mtime
    except FileNotFoundError:
        return ""
    return f"{datetime.fromtimestamp(changed, UTC).astimezone():%Y-%m-%d %H:%M}"


def down(run_dir: Path, console: Console) -> None:
    """End and remove the clouds that a run has left.

    :raises UsageError: this is no run directory, or the run has no cloud or is in progress.
    """
    with _over(run_dir):
        if (kept := KeptConnection.load(run_dir / KEPT)) is not None:
            node_connections.end_kept(run_dir, kept, console)
            return
        clouds = clouds_of(run_dir)
        if not clouds:
            raise UsageError(
                f"the run {run_dir} has left no cloud",
                "`bsdgate status` lists the clouds that runs have left",
            )
        for cloud in clouds:
            state = cloud.status()["state"]
            cloud.stop()
            cloud.clean()
            console.print(
                f"the cloud in {cloud.directory} was {state}, and is removed now",
                highlight=False,
                soft_wrap=True,
            )


@contextlib.contextmanager
def _over(run_dir: Path) -> Iterator[None]:
    """Prevent a run that has ended from being resumed while the block runs."""
    if not (run_dir / "manifest.json").is_file():
        raise UsageError(
            f"{run_dir} is not a run directory: it has no manifest.json",
            "give the directory that `bsdgate run` printed, or --name for a cloud of `bsdgate up`",
        )
    lock = files.take_lock(run_dir / "lock")
    if lock is None:
        raise UsageError(
            f"the run {run_dir} is in progress, by process"
            f" {files.holder(run_dir / 'lock') or 'unknown'}",
            "wait until the run ends, or stop it with Ctrl-C: a run ends its own cloud",
        )
    try:
        yield
    finally:
        os.close(lock)
