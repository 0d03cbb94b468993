# SPDX-License-Identifier: Apache-2.0
"""The command ``bsdgate hold``: Zuul keeps the nodes of the next builds of a job that fail."""

from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bsdgate.harness.commands.holds import Hold, Holds
from bsdgate.results.reporters.text import plain

_HOUR: Final = 3600


@dataclass(frozen=True)
class Wanted:
    """A hold to add: the builds that it is for, and for how long the nodes are kept.

    Without a project, it is that of the newest build of the job. Without hours, the default of the
    Zuul is used.
    """

    job: str
    project: str | None
    change: str | None
    count: int
    reason: str
    hours: float | None


def add(holds: Holds, wanted: Wanted, console: Console) -> None:
    """Add a hold, and print it.

    :raises UsageError: Zuul does not know the job or the project, or does not accept the token.
    """
    project = wanted.project or holds.project_of(wanted.job)
    seconds = None if wanted.hours is None else max(1, round(wanted.hours * _HOUR))
    added = holds.add(
        wanted.job,
        project,
        {
            "change": wanted.change,
            "count": wanted.count,
            "reason": wanted.reason,
            "node_hold_expiration": seconds,
        },
    )
    if added is not None:
        _show([added], console)
        console.print(f"to delete it: bsdgate hold --delete {escape(plain(added.id))} ...")


def show(holds: Holds, console: Console) -> None:
    """Print all holds of the tenant."""
    found = holds.list()
    if found:
        _show(found, console)
    else:
        console.print("there are no holds")


def delete(holds: Holds, identity: str, console: Console) -> None:
    """Delete a hold.

    :raises UsageError: there is no such hold, or Zuul does not accept the token.
    """
    holds.delete(identity)
    console.print(f"deleted: {escape(plain(identity))}", highlight=False)


def _show(found: list[Hold], console: Console) -> None:
    table = Table()
    for title in ("id", "project", "job", "ref", "builds", "kept for", "reason", "nodes"):
        table.add_column(title, overflow="fold")
    for hold in found:
        table.add_row(*map(escape, map(plain, _row(hold))))
    console.print(table)


def _row(hold: Hold) -> list[str]:
    builds = (str(node.get("build", "")) for node in hold.nodes)
    return [
        hold.id,
        hold.project,
        hold.job,
        hold.ref_filter,
        f"{hold.current_count} of {hold.max_count}",
        f"{hold.node_expiration / _HOUR:g} h" if hold.node_expiration else "no limit",
        hold.reason or "",
        ", ".join(builds),
    ]
