# SPDX-License-Identifier: Apache-2.0
"""Finds secrets in files before they are published, and replaces them.

A secret is a value that the run knows (passwords in its files of clouds and accounts), or text with
the form of a secret: a private key, a token of Keystone, a password in a URL or in a setting.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bsdgate.harness.errors import ConfigurationError
from bsdgate.results.checked_yaml import Document

SHORTEST: Final = 6
"""The length of the shortest known value that is searched: shorter ones are common words."""

_NAME: Final = re.compile(r"passw|secret|token|private_key|api_?key", re.IGNORECASE)
_FORMS: Final[Mapping[str, re.Pattern[bytes]]] = {
    "private key": re.compile(
        rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"
        rb"((?:\s|\\[nr])*[\w+/=](?:[\w+/=\s:,]|\\[nr]|-(?!----))*)"
    ),
    "token": re.compile(
        rb"\b(gAAAAA[\w-]{40,}={0,2})|(?i:x-(?:auth|subject|service)-token)\\?[\"']?\s*[:=]\s*"
        rb"\\?[\"']?([^\s\"',*{\\]{8,})"
    ),
    "password in a URL": re.compile(rb"://[^/@\s:\"'\[\\]*:([^/@\s\"'*\\]+)@"),
    "password": re.compile(
        rb"\b(?i:\w*passw(?:or)?d)\\?[\"']?\s*[:=]\s*\\?[\"']?(?!None\b|null\b|true\b|false\b)"
        rb"([^\s\"',;}\])*<>\\]{6,})"
    ),
}


class Masker:
    """Replaces secrets in the content of files, and counts them by kind."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        values = {form for value in known for form in _written(value)}
        alternatives = (re.escape(value.encode()) for value in sorted(values, key=len)[::-1])
        self._known = re.compile(b"(" + b"|".join(alternatives) + b")") if values else None

    def mask(self, content: bytes) -> tuple[bytes, Counter[str]]:
        """Return the content without secrets, and the number of secrets of each kind.

        A secret is replaced by asterisks of the same length, so that the offsets in a file stay.
        """
        counts: Counter[str] = Counter()
        for kind, form in self._forms():
            content, number = form.subn(_hide, content)
            counts[kind] += number
        return content, +counts

    def _forms(self) -> Iterator[tuple[str, re.Pattern[bytes]]]:
        if self._known is not None:
            yield "password of the cloud", self._known
        yield from _FORMS.items()


def known_values(paths: Iterable[Path]) -> set[str]:
    """Return the values of all secret settings in YAML files; a missing file has none.

    :raises ConfigurationError: a file cannot be read, so its secrets are not known.
    """
    documents = [Document(path) for path in paths if path.is_file()]
    for document in documents:
        if not document.readable:
            raise ConfigurationError(
                f"secrets cannot be masked: {document.problems[0]}", "correct or remove the file"
            )
    return {value for document in documents for value in _values(document.data)}


def _values(data: Any, secret: bool = False) -> Iterator[str]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _values(value, secret or _NAME.search(str(key)) is not None)
    elif isinstance(data, list):
        for value in data:
            yield from _values(value, secret)
    elif secret and isinstance(data, str) and len(data) >= SHORTEST:
        yield data


def _written(value: str) -> set[str]:
    """Return the forms in which a value is written: as it is, and in JSON."""
    return {value, json.dumps(value)[1:-1]}


def _hide(found: re.Match[bytes]) -> bytes:
    """Return a match with asterisks in place of its groups."""
    text = bytearray(found[0])
    for number in range(1, found.re.groups + 1):
        start, end = found.start(number) - found.start(), found.end(number) - found.start()
        if found.start(number) >= 0:
            text[start:end] = re.sub(rb"[^\s]", b"*", text[start:end])
    return bytes(text)
