# SPDX-License-Identifier: Apache-2.0
import pytest

from bsdgate.results import strict_json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "more than once"),
        ('{"a": NaN}', "NaN"),
        ("[-Infinity]", "-Infinity"),
        (b'"\xff"', "UTF-8"),
        ("[" * 100_000, "deeply"),
        ('{"a": ', "Expecting"),
    ],
)
def test_invalid_json_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strict_json.loads(text)


def test_loads_object_refuses_a_list() -> None:
    with pytest.raises(strict_json.BadJsonError, match="list"):
        strict_json.loads_object("[]")


def test_valid_json_is_read() -> None:
    assert strict_json.loads_object(b'{"a": [1, null]}') == {"a": [1, None]}


def test_a_duplicate_key_among_many_is_refused() -> None:
    keys = ",".join(f'"{number}": 0' for number in range(300_000))
    with pytest.raises(strict_json.BadJsonError, match="'7' occurs more than once"):
        strict_json.loads(f'{{{keys}, "7": 1}}')
