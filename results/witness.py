# SPDX-License-Identifier: Apache-2.0
"""The runner's exit status as a second witness: what it can contradict, and what it cannot."""

from bsdgate.results.model import Attempt, Code, Kind, Reason, State, error


def contradictions(attempt: Attempt, *, failed: bool) -> list[Reason]:
    """What the exit status of an attempt that ended says against its stream.

    ``failed`` tells whether the stream has a failure. An interrupted runner's status is that of
    the signal and is not asked.
    """
    if attempt.state is not State.ENDED:
        return []
    if attempt.exit_status is None:
        return [_contradiction(attempt, "the runner's exit status is not known")]
    said = _SAID[attempt.kind](attempt.exit_status, failed)
    return [_contradiction(attempt, said)] if said else []


def _tempest(status: int, _failed: bool) -> str | None:
    # `tempest run --subunit` hands on stestr's status, which with --subunit is 0 whatever the
    # tests did, even when a worker was killed: 0 says nothing. Non-zero is said only when the
    # stream could not be made (100: a module cannot be imported; 1: nothing was selected).
    return f"tempest ended with {status}, though failed tests leave it at 0" if status else None


def _pytest(status: int, failed: bool) -> str | None:
    # pytest's status can be trusted: 0 all passed, 1 some failed, 2 to 5 could not do its work.
    if status not in (0, 1):
        return f"pytest ended with {status}: it could not do its work"
    if status == 0 and failed:
        return "pytest ended with 0, and the report has failures"
    if status == 1 and not failed:
        return "pytest ended with 1, and the report has no failure"
    return None


def _rally(status: int, failed: bool) -> str | None:
    # `rally task start`: 0 says that all SLAs passed, which a failed iteration need not break
    # (and that no iteration ran at all does not either); 2 that one failed; 1 that no task ran.
    broken_sla = 2
    if status not in (0, broken_sla):
        return f"rally ended with {status}: the task did not run"
    if status == broken_sla and not failed:
        return "rally ended with 2 (an SLA failed), and the report has no failure"
    return None


_SAID = {Kind.TEMPEST: _tempest, Kind.HOSTCHECKS: _pytest, Kind.RALLY: _rally}


def _contradiction(attempt: Attempt, said: str) -> Reason:
    return error(Code.EXIT_STATUS, f"{attempt.name}: {said}")
