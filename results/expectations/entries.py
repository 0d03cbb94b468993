# SPDX-License-Identifier: Apache-2.0
"""The model of an entry (one known failure), and the lookup of the entries that match a test."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from bsdgate.results.expectations.scope import Scope, facts, glob
from bsdgate.results.ids import idempotent, without_attributes
from bsdgate.results.model import Outcome, Run

NEEDED_TO_EXCUSE: Final = ("bug", "owner")
"""An entry without one of these keys is read and reported, but excuses nothing."""


def _is_url(text: str) -> str:
    if text and not re.match(r"https?://", text):
        raise ValueError("not the URL of a bug: it must begin with https:// or http://")
    return text


def _day(value: Any) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("a day was expected, such as 2027-05-01") from None


_Text = Annotated[str, Field(min_length=1)]
_MayBeEmpty = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
_Day = Annotated[date, BeforeValidator(_day)]


@dataclass(frozen=True)
class Entry:
    """One known failure, or one known skip: an entry of a file.

    An entry without ``bug`` or ``owner`` is read, but excuses nothing and is reported.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", str_strip_whitespace=True)

    test: _Text
    """The test's id, with or without the brackets that contain its idempotent id
    (``[id-...,smoke]``); or a glob, in which only ``*`` and ``?`` are special; or an idempotent id
    (``id-869bc8e8-0be6-4dd7-a9ee-cb5e7fdcfd5f``), which also matches the test in classes that
    inherit it, and after it is renamed."""
    _: KW_ONLY
    bug: Annotated[_MayBeEmpty, AfterValidator(_is_url)] = ""
    """The URL of the bug. Without a bug the entry excuses nothing."""
    owner: _MayBeEmpty = ""
    """The person responsible for removing the entry. Without an owner the entry excuses nothing."""
    reason: _Text
    """Why the test fails, for the reader of a report."""
    since: _Day
    """The day on which the failure was first seen. The entry also applies to earlier runs."""
    expires: _Day
    """The last day on which the entry excuses the test, not before ``since``. It is compared with
    the day (UTC) on which the run began or, for imported results, on which the tests ran."""
    outcome: Literal[Outcome.FAIL, Outcome.SKIP] = Outcome.FAIL
    """The expected outcome; ``skip`` is for a test that is known to be skipped."""
    scope: Scope = field(default_factory=Scope)
    """The runs to which the entry applies; all runs if the scope is left out."""


@dataclass(frozen=True)
class Expectation(Entry):
    """An entry and its place in a file. It excuses failures up to and including ``expires``."""

    source: str = ""
    """The file and line of the entry."""

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return glob(self.test)

    def matches_one_of(self, forms: Iterable[str]) -> bool:
        """Whether the glob ``test`` matches one of ``forms``, which are forms of the same id."""
        return any(map(self._pattern.fullmatch, forms))

    @property
    def key(self) -> str:
        """The key by which an entry without a glob is found; ``id-<uuid>`` is in lower case."""
        return lower if (lower := self.test.lower()).startswith("id-") else self.test

    @property
    def name(self) -> str:
        """The name of the entry in the history; it depends on test, outcome and scope only."""
        scope = [f"{key}: {value}" for key, value in self.scope.pairs()]
        return "; ".join([self.test, *([] if self.outcome is Outcome.FAIL else ["skip"]), *scope])

    @property
    def missing(self) -> tuple[str, ...]:
        """The keys in NEEDED_TO_EXCUSE that the entry does not have."""
        return tuple(name for name in NEEDED_TO_EXCUSE if not getattr(self, name))


class Expectations:
    """The known failures of a run, looked up by test id.

    With a ``run``, ``entries`` has only entries with a scope that fits the run. ``undecided`` has
    the entries that may apply: each with the keys of its scope for which the run has no value.
    """

    def __init__(self, entries: Iterable[Expectation], run: Run | None = None) -> None:
        ordered = sorted(entries, key=lambda entry: (entry.test, entry.expires, entry.source))
        self.undecided: list[tuple[Expectation, str]] = []
        if run is not None:
            known = facts(run)
            fits = [(entry, entry.scope.fits(known)) for entry in ordered]
            ordered = [entry for entry, by_key in fits if all(by_key.values())]
            self.undecided = [
                (entry, ", ".join(key for key, fit in by_key.items() if fit is None))
                for entry, by_key in fits
                if None in by_key.values() and False not in by_key.values()
            ]
        self.entries = tuple(ordered)
        self._exact: dict[str, list[Expectation]] = {}
        self._globs: list[tuple[str, Expectation]] = []
        self._matching: dict[str, list[Expectation]] = {}
        for entry in self.entries:
            pieces = re.split(r"[*?]", entry.test)
            if pieces == [entry.test]:
                self._exact.setdefault(entry.key, []).append(entry)
            else:
                self._globs.append((max(pieces, key=len), entry))

    def of(self, test_id: str, outcome: Outcome | None = Outcome.FAIL) -> list[Expectation]:
        """Return the entries for ``test_id`` that expect ``outcome``, also expired ones.

        Entries with an exact id come before globs. ``outcome`` is fail or skip; None for both.
        """
        # The judge calls this twice: for the test's outcome, and to find entries without a match.
        if test_id not in self._matching:
            self._matching[test_id] = list(self._find(test_id))
        return [entry for entry in self._matching[test_id] if outcome in {None, entry.outcome}]

    def _find(self, test_id: str) -> Iterator[Expectation]:
        forms = _forms(test_id)
        uuid = idempotent(test_id)
        for form in (*forms, f"id-{uuid}") if uuid else forms:
            yield from self._exact.get(form, ())
        either = "\n".join(forms)
        for piece, entry in self._globs:
            # A search for the longest fixed part of a glob takes a tenth of the time of a match.
            if piece in either and entry.matches_one_of(forms):
                yield entry


def _forms(test_id: str) -> tuple[str, ...]:
    """Return a test's id and, if it has attributes (``[id-...,smoke]``), the id without them."""
    short = without_attributes(test_id)
    return (test_id,) if short == test_id else (test_id, short)


def valid(entries: Iterable[Expectation], day: date) -> list[Expectation]:
    """Return the ``entries`` that excuse failures on ``day``."""
    return [entry for entry in entries if day <= entry.expires and not entry.missing]
