# SPDX-License-Identifier: Apache-2.0
from bsdgate.results.errors import BsdgateError, EvidenceError


def test_a_message_is_followed_by_its_hint() -> None:
    assert str(BsdgateError("x.yaml: no such profile", "choose embedded")) == (
        "x.yaml: no such profile\n  -> choose embedded"
    )


def test_a_message_without_a_hint_is_unchanged() -> None:
    assert str(BsdgateError("no")) == "no"


def test_errors_have_their_exit_codes() -> None:
    assert BsdgateError.exit_code == 2
    assert EvidenceError.exit_code == 3
