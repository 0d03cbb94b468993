# SPDX-License-Identifier: Apache-2.0
"""The command ``bsdgate vote``: post the verdicts of runs outside Zuul as a review on Gerrit."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bsdgate.harness import paths
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.reviews import credentials
from bsdgate.harness.reviews.client import Client, Limits, Post, check_url
from bsdgate.harness.reviews.deliver import Delivery, Retries, Settled
from bsdgate.harness.reviews.post import Kind
from bsdgate.harness.reviews.spool import Spool
from bsdgate.results import judge, strict_json
from bsdgate.results.attempts import DOCUMENT_BOUND, UnreadableError, open_plain
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import Verdict
from bsdgate.results.reporters import gerrit, review
from bsdgate.results.reporters.gerrit import About, Build
from bsdgate.results.reporters.review import Buildset, LineComment, Review
from bsdgate.results.reporters.text import plain

_FAILED = frozenset({Kind.GONE, Kind.REFUSED, Kind.WAITING})
_REFUSES_VOTES = "run the suite with the option --change, and vote with the same change"


@dataclass(frozen=True)
class Server:
    """The server, the file with the credentials, and for how many seconds to try."""

    url: str
    credentials: Path | None
    retry_for: float


@dataclass(frozen=True)
class Content:
    """What the review has beside the verdicts; ``label`` None: a comment without a vote."""

    label: str | None
    urls: Sequence[str] = ()
    contact: str = ""
    wiki: str = ""


def vote(
    runs: Sequence[Path],
    change: tuple[str, str],
    content: Content,
    server: Server,
    console: Console,
) -> int:
    """Post one review with the verdicts of all runs, and reviews that wait in the spool."""
    url = check_url(server.url)
    made = make(runs, change, content)
    client = Client(url, credentials.find(url, server.credentials, os.environ))
    spool = Spool(paths.state() / "reviews")
    report = _printing(console)
    with spool.locked(report):
        entry = spool.add(url, made)
        delivery = _delivery(spool, client, server, report)
        settled = _run(delivery, client, report)
    return _exit_code([one for one in settled if one.entry.path == entry.path])


def post_waiting(server: Server, console: Console) -> int:
    """Post the reviews that wait in the spool for a server."""
    url = check_url(server.url)
    client = Client(url, credentials.find(url, server.credentials, os.environ))
    spool = Spool(paths.state() / "reviews")
    report = _printing(console)
    with spool.locked(report):
        delivery = _delivery(spool, client, server, report)
        settled = _run(delivery, client, report)
    if delivery.damaged:
        return InfrastructureError.exit_code
    if not settled:
        report("no review waits")
    return _exit_code(settled)


def show_request(
    runs: Sequence[Path], change: tuple[str, str], content: Content, url: str, console: Console
) -> None:
    """Print the request for a review, without credentials; no server is contacted."""
    made = make(runs, change, content)
    post = Post.of(check_url(url), made.path, made.body(), Limits())
    console.out(str(post), highlight=False)


def make(runs: Sequence[Path], change: tuple[str, str], content: Content) -> Review:
    """Return the review of the runs.

    :raises UsageError: the runs have not tested this patchset, or have the same profile and suite.
    :raises EvidenceError: a run has no verdict.
    """
    if content.urls and len(content.urls) != len(runs):
        raise UsageError(
            f"{len(runs)} run directories and {len(content.urls)} --url",
            "give a --url for each run directory, in the same order, or none",
        )
    builds = [
        _build(run, change, url)
        for run, url in zip(runs, content.urls or [""] * len(runs), strict=True)
    ]
    jobs = [build.job for build in builds]
    if again := next((job for job in jobs if jobs.count(job) > 1), None):
        raise UsageError(f"two runs of {again}", "give the run that is valid")
    about = About(contact=content.contact, wiki=content.wiki)
    return gerrit.review(builds, _buildset(builds, change), about, content.label)


def _build(run_dir: Path, change: tuple[str, str], url: str) -> Build:
    verdict = judge.verdict_of(run_dir)
    run = verdict.run
    if (run.change, run.patchset) != change:
        tested = f"change {run.change},{run.patchset}" if run.change else "no change"
        raise UsageError(
            f"the run {run_dir} has tested {tested}, not {','.join(change)}", _REFUSES_VOTES
        )
    job = f"{Path(run.profile).stem}-{run.suite}"
    return Build(job, verdict, url=url, comments=_comments(run_dir))


def _comments(run_dir: Path) -> tuple[LineComment, ...]:
    path = run_dir / "report" / "zuul.json"
    try:
        with open_plain(path, DOCUMENT_BOUND) as file:
            return review.line_comments(strict_json.loads_object(file.read()))
    except (UnreadableError, OSError, ValueError, AttributeError) as error:
        why = str(error) if isinstance(error, UnreadableError) else strict_json.explain(error)
        hint = f"write the reports again: bsdgate report {run_dir}"
        raise EvidenceError(f"cannot read {path}: {why}", hint) from None


def _buildset(builds: Sequence[Build], change: tuple[str, str]) -> Buildset:
    """Return the identity of the runs as a buildset: the same runs have the same identity."""
    runs = [build.verdict.run for build in builds if isinstance(build.verdict, Verdict)]
    ids = sorted(run.run_id for run in runs)
    uuid = ids[0] if len(ids) == 1 else hashlib.sha256("\n".join(ids).encode()).hexdigest()[:32]
    try:
        return Buildset(int(change[0]), int(change[1]), uuid, max(run.created for run in runs))
    except ValueError as error:
        raise UsageError(
            f"no review can be posted: {error}", "correct --change or RUN_DIR"
        ) from None


def _printing(console: Console) -> Callable[[str], None]:
    def report(line: str) -> None:
        console.print(plain(line), markup=False, highlight=False, soft_wrap=True)

    return report


def _delivery(
    spool: Spool, client: Client, server: Server, report: Callable[[str], None]
) -> Delivery:
    return Delivery(spool, client, report, retries=Retries(total=server.retry_for))


def _run(delivery: Delivery, client: Client, report: Callable[[str], None]) -> list[Settled]:
    report(f"posting to {client.server}")
    settled = delivery.run()
    for one in settled:
        if one.outcome.kind is Kind.WAITING:
            report(f"{one.entry}: {one.outcome}")
            report(f"  -> it is kept; post it later: bsdgate vote --gerrit {client.server}")
    return settled


def _exit_code(settled: Sequence[Settled]) -> int:
    failed = any(one.outcome.kind in _FAILED for one in settled)
    return InfrastructureError.exit_code if failed else 0
