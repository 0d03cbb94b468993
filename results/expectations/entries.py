# SPDX-License-Identifier: Apache-2.0
"""The entries, and which of them speak of a test."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from operator import itemgetter
from typing import Final

from bsdgate.results.expectations.scope import covers, fact, facts, glob
from bsdgate.results.ids import idempotent, scopes, without_attributes
from bsdgate.results.model import Outcome, Run

OWED: Final = ("bug", "owner")
"""What an entry is invalid without: it says whose the failure is."""

_WILD: Final = frozenset("*?")


@dataclass(frozen=True)
class Expectation:
    """One known failure, or known loss of coverage. It excuses up to and on the day it expires.

    ``scope`` are pairs of a key and what its fact must be; of pairs with one key, any will do.
    ``outcome`` is fail, or skip.
    """

    test: str
    bug: str
    owner: str
    reason: str
    since: date
    expires: date
    scope: tuple[tuple[str, str], ...] = ()
    source: str = ""
    outcome: Outcome = Outcome.FAIL

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return glob(self.test)

    def matches(self, test_id: str) -> bool:
        """Whether the entry speaks of ``test_id``, with or without its ``[id-<uuid>,...]``.

        Parameters and scenarios are a part of the id: an entry names them, or is a glob.
        """
        if (uuid := idempotent(test_id)) and self.key == f"id-{uuid}":
            return True
        return self.fits(_written(test_id))

    def fits(self, forms: Iterable[str]) -> bool:
        """Whether one of the ways in which an id is written is the entry's, or fits its glob."""
        return any(map(self._pattern.fullmatch, forms))

    @property
    def key(self) -> str:
        """What an entry that is no glob is looked up by: a UUID may be in either case."""
        return lower if (lower := self.test.lower()).startswith("id-") else self.test

    @property
    def name(self) -> str:
        """What the entry is called in the history: the same while its test and scope are."""
        scope = [f"{key}: {want}" for key, want in self.scope]
        return "; ".join([self.test, *([] if self.outcome is Outcome.FAIL else ["skip"]), *scope])

    @property
    def lacks(self) -> tuple[str, ...]:
        """What makes the entry invalid; nothing if it is not."""
        return tuple(name for name in OWED if not getattr(self, name))

    def applies(self, said: Mapping[str, str]) -> bool:
        """Whether every key of the scope fits the facts; what they do not say never does."""
        return all(self._fits(said).values())

    def unsaid(self, said: Mapping[str, str]) -> tuple[str, ...]:
        """The keys for which alone the entry does not apply: no fact says anything of them."""
        fits = self._fits(said)
        open_ = tuple(key for key, fit in fits.items() if fit is None)
        return () if False in fits.values() else open_

    def _fits(self, said: Mapping[str, str]) -> dict[str, bool | None]:
        fits: dict[str, bool | None] = {}
        for key, want in self.scope:
            value = said.get(fact(key, want))
            fit = None if value is None else covers(want, value)
            fits[key] = fits.get(key) or fit
        return fits


class Expectations:
    """The known failures of a run, looked up by test id.

    With a ``run``, they are those whose scope fits it; ``unsaid`` are those that would, perhaps,
    if the run said more of itself.
    """

    def __init__(self, entries: Iterable[Expectation], run: Run | None = None) -> None:
        ordered = sorted(entries, key=lambda entry: (entry.test, entry.expires, entry.source))
        self.unsaid: tuple[Expectation, ...] = ()
        if run is not None:
            said = facts(run)
            self.unsaid = tuple(entry for entry in ordered if entry.unsaid(said))
            ordered = [entry for entry in ordered if entry.applies(said)]
        self.entries = tuple(ordered)
        self._exact: dict[str, list[Expectation]] = {}
        # Few globs are compared with a test: those that begin with its class, module or package,
        # or with nothing, and of these those of which some piece is in its id.
        self._globs: dict[str, list[tuple[int, str, Expectation]]] = {}
        for number, entry in enumerate(self.entries):
            if not _WILD & set(entry.test):
                self._exact.setdefault(entry.key, []).append(entry)
                continue
            head, *pieces = re.split(r"[*?]", entry.test)
            under = re.split(r"[\[(]", head, maxsplit=1)[0].rpartition(".")[0]
            piece = max(pieces if under else [head, *pieces], key=len)
            self._globs.setdefault(under, []).append((number, piece, entry))

    def of(self, test_id: str, outcome: Outcome | None = Outcome.FAIL) -> list[Expectation]:
        """All entries that expect ``outcome`` of ``test_id``, expired ones too; exact ones first.

        ``outcome`` is fail or skip, as entries are written; None for both.
        """
        if not self.entries:
            return []
        written = _written(test_id)
        forms = list(written)
        if uuid := idempotent(test_id):
            forms.append(f"id-{uuid}")
        found = [entry for form in forms for entry in self._exact.get(form, ())]
        if self._globs:
            globs = [
                (number, entry)
                for under in {*scopes(test_id), ""}
                for number, piece, entry in self._globs.get(under, ())
                if piece in written[0] or piece in written[-1]
                if entry.fits(written)
            ]
            found += (entry for _, entry in sorted(globs, key=itemgetter(0)))
        return [entry for entry in found if outcome in {None, entry.outcome}]


def _written(test_id: str) -> tuple[str, ...]:
    """A test's id, and without its attributes if it has some."""
    short = without_attributes(test_id)
    return (test_id,) if short == test_id else (test_id, short)


def valid(entries: Iterable[Expectation], day: date) -> list[Expectation]:
    """Those of ``entries`` that excuse on ``day``."""
    return [entry for entry in entries if day <= entry.expires and not entry.lacks]
