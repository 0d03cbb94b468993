# SPDX-License-Identifier: Apache-2.0
"""The import benchmark."""

import pytest

from bsdgate.harness.nodes import speed


def test_the_median_of_three_processes_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([9.0, 0.2, 0.3])
    monkeypatch.setattr(speed, "_run", lambda _: next(measured))
    speed.seconds.cache_clear()
    assert speed.seconds() == 0.3
    speed.seconds.cache_clear()


def test_the_imports_take_time() -> None:
    speed.seconds.cache_clear()
    assert speed.seconds() > 0.01
