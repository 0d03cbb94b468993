# SPDX-License-Identifier: Apache-2.0
import tracemalloc
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, BinaryIO

import pytest

from bsdgate.results.model import Code, Dated, Found, Reason
from bsdgate.results.parsers import documents, rally, verification

PARSERS: dict[str, Callable[[BinaryIO], Iterable[Found | Dated]]] = {
    "task": lambda stream: rally.parse(stream, {}),
    "verification": verification.parse,
}


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", Code.EMPTY_STREAM),
        (b" \n", Code.EMPTY_STREAM),
        (b"[]", Code.DAMAGED),
        (b"{}", Code.DAMAGED),
        (b"\xff", Code.DAMAGED),
        (b"\x1f\x8b\x08\x00", Code.DAMAGED),
        (b"PK\x03\x04", Code.TRUNCATED),
        (b'{"a\0b": 1}', Code.TRUNCATED),
        (b'{"a": NaN}', Code.DAMAGED),
        (b'{"a": -Infinity}', Code.DAMAGED),
        (b'{"tasks": [], "tasks": []}', Code.DAMAGED),
        (b'{"tests": {"a": {}, "a": {}}}', Code.DAMAGED),
        (b'{"tasks": []} {"tasks": []}', Code.TRUNCATED),
        (b'{"a": ' + b"[" * 100_000, Code.DAMAGED),
        (b'{"a":' * 100_000, Code.DAMAGED),
        (b'{"a": ' + b"9" * 5000 + b"}", Code.DAMAGED),
        (b'{"a": "\\ud800"}', Code.DAMAGED),
        (b'{"\\udfff": 1}', Code.DAMAGED),
        (b'{"tasks": 1e999, "verifications": 1e999}', Code.DAMAGED),
    ],
)
def test_other_content_than_a_report_is_one_error(parser: str, content: bytes, code: Code) -> None:
    (found,) = PARSERS[parser](BytesIO(content))
    assert isinstance(found, Reason)
    assert found.code is code
    assert len(found.message) < 500


def test_a_whole_surrogate_pair_is_text() -> None:
    assert documents.read(BytesIO(b'{"a": "\\ud83d\\ude00"}')) == {"a": "\N{GRINNING FACE}"}


@pytest.mark.parametrize("piece", [b"[],", b"{},", b'"",', b"0,"])
def test_many_values_are_refused_before_they_take_memory(piece: bytes) -> None:
    content = b'{"a": [' + piece * 8_000_000 + b"0]}"
    tracemalloc.start()
    found = documents.read(BytesIO(content))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(found, Reason)
    assert found.code is Code.TOO_LARGE
    assert peak < 2 * len(content)


def test_the_size_of_a_report_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "SIZE_BOUND", 10)
    found = documents.read(BytesIO(b'{"a": "12345"}'))
    assert isinstance(found, Reason)
    assert found.code is Code.TOO_LARGE


@pytest.mark.parametrize("value", ["soon", -1, 1e11, 1e400, "nan", None, [], {}])
def test_invalid_seconds_are_refused(value: Any) -> None:
    with pytest.raises(documents.SHAPE_ERRORS):
        documents.seconds(value)
