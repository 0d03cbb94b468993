# SPDX-License-Identifier: Apache-2.0
import pytest

from bsdgate.results import strict_json


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "more than once"),
        ('{"a": NaN}', "NaN"),
        ("[-Infinity]", "-Infinity"),
        (b'"\xff"', "UTF-8"),
        ("[" * 100_000, "deeply"),
        ('{"a": ', "Expecting"),
    ],
)
def test_doubtful_json_is_refused(text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        strict_json.loads(text)


def test_an_object_must_be_an_object() -> None:
    with pytest.raises(strict_json.BadJsonError, match="list"):
        strict_json.loads_object("[]")


def test_plain_json_is_read() -> None:
    assert strict_json.loads_object(b'{"a": [1, null]}') == {"a": [1, None]}


def test_one_key_of_very_many_that_is_there_twice_is_found_at_once() -> None:
    keys = ",".join(f'"{number}": 0' for number in range(300_000))
    with pytest.raises(strict_json.BadJsonError, match="'7' occurs more than once"):
        strict_json.loads(f'{{{keys}, "7": 1}}')
