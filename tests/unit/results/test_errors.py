# SPDX-License-Identifier: Apache-2.0
from bsdgate.results.errors import BsdgateError, EvidenceError


def test_message_is_followed_by_the_next_step() -> None:
    assert str(BsdgateError("x.yaml: no such profile", "choose embedded")) == (
        "x.yaml: no such profile\n  -> choose embedded"
    )


def test_message_stands_alone_without_a_hint() -> None:
    assert str(BsdgateError("no")) == "no"


def test_exit_codes() -> None:
    assert BsdgateError.exit_code == 2
    assert EvidenceError.exit_code == 3
