# SPDX-License-Identifier: Apache-2.0
"""The model of an entry, and the lookup of the entries that match a test."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import date
from functools import cached_property
from operator import itemgetter
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from bsdgate.results.expectations.scope import Scope, fact_name, facts, fits, glob
from bsdgate.results.ids import idempotent, scopes, without_attributes
from bsdgate.results.model import Outcome, Run

NEEDED_TO_EXCUSE: Final = ("bug", "owner")
"""The keys without which an entry is read, excuses nothing and is reported."""

_WILD: Final = frozenset("*?")


def _text_or_empty(value: Any) -> Any:
    return "" if value is None else value


def _is_url(text: str) -> str:
    if text and not re.match(r"https?://", text):
        raise ValueError("not the URL of a bug; it begins with https:// or http://")
    return text


def _day(value: Any) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("a day was expected, such as 2027-05-01") from None


_Text = Annotated[str, Field(min_length=1)]
_MayBeEmpty = Annotated[str, BeforeValidator(_text_or_empty)]
_Day = Annotated[date, BeforeValidator(_day)]


@dataclass(frozen=True)
class Entry:
    """One known failure, or known loss of coverage, as a file has it.

    An entry without ``bug`` or ``owner`` is read, but excuses nothing and is reported.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", str_strip_whitespace=True)

    test: _Text
    """The test's id, with or without the brackets that hold its idempotent id
    (``[id-...,smoke]``); a glob in which only ``*`` and ``?`` are special; or an idempotent id
    (``id-869bc8e8-0be6-4dd7-a9ee-cb5e7fdcfd5f``), which also holds for classes that inherit the
    test, and after the test is renamed."""
    _: KW_ONLY
    bug: Annotated[_MayBeEmpty, AfterValidator(_is_url)] = ""
    """The URL of the bug. Without it the entry excuses nothing."""
    owner: _MayBeEmpty = ""
    """The person responsible for removing the entry. Without it the entry excuses nothing."""
    reason: _Text
    """Why the test fails, for the reader of a report."""
    since: _Day
    """The first day on which the test is known to fail."""
    expires: _Day
    """The last day on which the entry excuses the test, not before ``since``. It is compared with
    the day in UTC on which the run began, or on which the tests of evidence from elsewhere ran."""
    outcome: Literal[Outcome.FAIL, Outcome.SKIP] = Outcome.FAIL
    """The outcome that is expected: ``skip`` is for coverage that is known to be lost."""
    scope: Scope = field(default_factory=Scope)
    """Where the entry applies; everywhere if it is left out."""


@dataclass(frozen=True)
class Expectation(Entry):
    """An entry with its place. It excuses failures up to the day it expires, inclusive."""

    source: str = ""
    """The file and line of the entry."""

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return glob(self.test)

    def matches(self, test_id: str) -> bool:
        """Whether the entry is for ``test_id``, with or without its ``[id-<uuid>,...]``.

        Parameters and scenarios are a part of the id: an entry names them, or is a glob.
        """
        if (uuid := idempotent(test_id)) and self.key == f"id-{uuid}":
            return True
        return self.matches_form(_forms(test_id))

    def matches_form(self, forms: Iterable[str]) -> bool:
        """Whether one of the forms of an id is the entry's test, or fits its glob."""
        return any(map(self._pattern.fullmatch, forms))

    @property
    def key(self) -> str:
        """The key for the lookup of an entry without a glob; ``id-<uuid>`` is in lower case."""
        return lower if (lower := self.test.lower()).startswith("id-") else self.test

    @property
    def name(self) -> str:
        """The name of the entry in the history: the same while its test and scope are."""
        scope = [f"{key}: {value}" for key, value in self.scope.pairs()]
        return "; ".join([self.test, *([] if self.outcome is Outcome.FAIL else ["skip"]), *scope])

    @property
    def missing(self) -> tuple[str, ...]:
        """The keys that are missing, so that the entry excuses nothing."""
        return tuple(name for name in NEEDED_TO_EXCUSE if not getattr(self, name))

    def applies(self, facts: Mapping[str, str]) -> bool:
        """Whether every key of the scope fits the facts; a key without a fact never fits."""
        return all(self._fits(facts).values())

    def unknown_facts(self, facts: Mapping[str, str]) -> tuple[str, ...]:
        """Return the keys without a fact, if the entry does not apply for that reason alone."""
        by_key = self._fits(facts)
        without = tuple(key for key, fit in by_key.items() if fit is None)
        return () if False in by_key.values() else without

    def _fits(self, facts: Mapping[str, str]) -> dict[str, bool | None]:
        by_key: dict[str, bool | None] = {}
        for key, value in self.scope.pairs():
            fact = facts.get(fact_name(key, value))
            fit = None if fact is None else fits(value, fact)
            by_key[key] = by_key.get(key) or fit
        return by_key


class Expectations:
    """The known failures of a run, looked up by test id.

    With a ``run``, they are the entries with a scope that fits it. ``undecided`` are the
    entries that need facts which the run does not have.
    """

    def __init__(self, entries: Iterable[Expectation], run: Run | None = None) -> None:
        ordered = sorted(entries, key=lambda entry: (entry.test, entry.expires, entry.source))
        self.undecided: tuple[Expectation, ...] = ()
        if run is not None:
            known = facts(run)
            self.undecided = tuple(entry for entry in ordered if entry.unknown_facts(known))
            ordered = [entry for entry in ordered if entry.applies(known)]
        self.entries = tuple(ordered)
        self._exact: dict[str, list[Expectation]] = {}
        self._matching: dict[str, list[Expectation]] = {}
        # A test is compared with few globs: those that begin with its class, module or package or
        # with a wildcard, and only if the longest fixed part of the glob is in its id.
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
        # The judge asks twice for each test: for its outcome, and for entries without a match.
        if test_id not in self._matching:
            self._matching[test_id] = self._find(test_id)
        return [entry for entry in self._matching[test_id] if outcome in {None, entry.outcome}]

    def _find(self, test_id: str) -> list[Expectation]:
        written = _forms(test_id)
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
                if entry.matches_form(written)
            ]
            found += (entry for _, entry in sorted(globs, key=itemgetter(0)))
        return found


def _forms(test_id: str) -> tuple[str, ...]:
    """Return a test's id, and the id without its attributes if it has some."""
    short = without_attributes(test_id)
    return (test_id,) if short == test_id else (test_id, short)


def valid(entries: Iterable[Expectation], day: date) -> list[Expectation]:
    """Return the ``entries`` that excuse on ``day``."""
    return [entry for entry in entries if day <= entry.expires and not entry.missing]
