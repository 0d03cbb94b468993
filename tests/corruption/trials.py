# SPDX-License-Identifier: Apache-2.0
"""Trials of the judge: so many harmed and rewritten runs, and what became of each."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bsdgate.results.errors import EvidenceError
from bsdgate.results.judge import judge_run
from bsdgate.results.model import Result
from corruption import peers
from corruption.evidence import Evidence
from corruption.mutations import MUTATIONS, SEALED_ONLY, Mutation
from corruption.rewrites import REWRITES


def judged(folder: Path) -> Result:
    """Return the verdict; what cannot be judged at all ends as an ERROR does, with 3."""
    try:
        return judge_run(folder).result
    except EvidenceError:
        return Result.ERROR


@dataclass
class Row:
    """What became of one kind of damage: how often each result, and how often peers passed it."""

    results: Counter[Result] = field(default_factory=Counter)
    peers: Counter[str] = field(default_factory=Counter)
    asked_of_peers: int = 0

    @property
    def trials(self) -> int:
        return self.results.total()


@dataclass
class Campaign:
    """Runs in, a table out. ``peers_each``: every which trial the peers are asked as well."""

    runs: Sequence[Evidence]
    scratch: Path
    seed: int
    peers_each: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.untouched = {run.name: judged(run.write(self.scratch)) for run in self.runs}
        self._trials = 0

    def harm(self, trials: int, *, sealed: bool) -> dict[str, Row]:
        """Harm runs ``trials`` times; a sealed run keeps the digests taken while it was streamed.

        What only a digest can tell is tried in the sealed mode alone.
        """
        kinds = {**MUTATIONS, **SEALED_ONLY} if sealed else MUTATIONS
        return self._harm(trials, kinds, sealed=sealed)

    def flip(self, trials: int) -> dict[str, Row]:
        """Harm runs in ways that keep every counter and checksum right, and the digests too."""
        return self._harm(trials, SEALED_ONLY, sealed=False)

    def _harm(
        self, trials: int, mutations: Mapping[str, Mutation], *, sealed: bool
    ) -> dict[str, Row]:
        rows = {name: Row() for name in mutations}
        done = 0
        while done < trials:
            name = self.rng.choice(list(mutations))
            run, other = self.rng.sample(list(self.runs), 2)
            harmed = mutations[name](self.rng, run, other)
            if harmed is None:
                continue
            if not sealed:
                harmed = harmed.digested()
            if harmed.files == run.files or harmed.files == run.digested().files:
                continue
            self._try(rows[name], harmed)
            done += 1
        return rows

    def _try(self, row: Row, harmed: Evidence) -> None:
        folder = harmed.write(self.scratch)
        row.results[judged(folder)] += 1
        self._trials += 1
        if self.peers_each and self._trials % self.peers_each == 0:
            row.asked_of_peers += 1
            row.peers.update(peers.passing(folder))

    def rewrite(self, trials: int) -> list[str]:
        """Rewrite runs without harm; return those with another verdict than before (none)."""
        changed = []
        for _ in range(trials):
            run = self.rng.choice(list(self.runs))
            names = self.rng.sample(list(REWRITES), self.rng.randrange(1, len(REWRITES) + 1))
            rewritten = run
            for name in names:
                rewritten = REWRITES[name](self.rng, rewritten)
            result = judged(rewritten.digested().write(self.scratch))
            if result is not self.untouched[run.name]:
                changed.append(f"{run.name} after {', '.join(names)}: {result}")
        return changed


def false_passes(rows: Mapping[str, Row]) -> dict[str, int]:
    """Return the kinds of damage that were passed, and how often."""
    return {
        name: row.results[Result.PASS] for name, row in rows.items() if row.results[Result.PASS]
    }


def table(title: str, rows: Mapping[str, Row]) -> str:
    """Draw a campaign: a line per kind of damage, ours beside the peers'."""
    head = f"{title:22} {'trials':>7} {'ERROR':>7} {'FAIL':>6} {'PASS':>6}"
    head += "".join(f" {name:>12}" for name in peers.PEERS)
    lines = [head]
    for name, row in [*rows.items(), ("all", total(rows.values()))]:
        counts = [row.results[result] for result in (Result.ERROR, Result.FAIL, Result.PASS)]
        line = f"{name:22} {row.trials:7} {counts[0]:7} {counts[1]:6} {counts[2]:6}"
        for peer in peers.PEERS:
            share = f"{row.peers[peer]}/{row.asked_of_peers}" if row.asked_of_peers else "-"
            line += f" {share:>12}"
        lines.append(line)
    return "\n".join(lines)


def total(rows: Iterable[Row]) -> Row:
    """Add rows up."""
    sum_ = Row()
    for row in rows:
        sum_.results.update(row.results)
        sum_.peers.update(row.peers)
        sum_.asked_of_peers += row.asked_of_peers
    return sum_
