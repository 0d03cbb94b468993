# SPDX-License-Identifier: Apache-2.0
"""Every way in which a test of pytest ends."""

import pytest


@pytest.fixture
def breaks_after():
    yield
    raise RuntimeError("the teardown breaks")


@pytest.fixture
def breaks_before():
    raise RuntimeError("the set-up breaks")


def test_success():
    pass


@pytest.mark.parametrize("port", [5000, "a/b::c.py"])
def test_parameters(port):
    pass


def test_fail():
    assert 1 == 2


def test_teardown_error(breaks_after):
    pass


def test_fail_and_teardown_error(breaks_after):
    assert 1 == 2


def test_setup_error(breaks_before):
    pass


def test_skip():
    pytest.skip("not on this host")


@pytest.mark.xfail(reason="known")
def test_xfail():
    assert 1 == 2


@pytest.mark.xfail(reason="known", strict=True)
def test_xpass():
    pass


class TestClass:
    def test_method(self):
        pass
