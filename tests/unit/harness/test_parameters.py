# SPDX-License-Identifier: Apache-2.0
"""The types of arguments of the command line."""

import click
import pytest

from bsdgate.harness.parameters import (
    FactorParameter,
    ItemParameter,
    PortParameter,
    ReviewParameter,
)


@pytest.mark.parametrize("value", ["912345,3", ("912345", "3")], ids=repr)
def test_a_change_is_two_numbers(value: object) -> None:
    assert ReviewParameter().convert(value, None, None) == ("912345", "3")


@pytest.mark.parametrize("value", ["", "912345", "912345,", ",3", "I8f4c,3", "912345,3,1", "1 ,2"])
def test_anything_else_is_no_change(value: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a change; give two numbers"):
        ReviewParameter().convert(value, None, None)


@pytest.mark.parametrize(("value", "factor"), [("5", 5.0), ("0.5", 0.5), (2.0, 2.0)])
def test_a_factor_is_a_number_above_zero(value: object, factor: float) -> None:
    assert FactorParameter().convert(value, None, None) == factor


@pytest.mark.parametrize("value", ["", "0", "-1", "nan", "inf", "fast"])
def test_anything_else_is_no_factor(value: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a factor"):
        FactorParameter().convert(value, None, None)


def test_a_port_belongs_to_a_service() -> None:
    assert PortParameter().convert("nova=8774", None, None) == ("nova", 8774)


@pytest.mark.parametrize("value", ["cinder=1", "nova", "nova=0", "nova=65536", "nova=x"])
def test_anything_else_is_no_port(value: str) -> None:
    with pytest.raises(click.BadParameter):
        PortParameter().convert(value, None, None)


def test_an_item_has_a_project_and_a_change() -> None:
    given = ItemParameter().convert("openstack/nova=7,1", None, None)
    assert given == ("openstack/nova", "7", "1")
    assert ItemParameter().convert(given, None, None) == given


@pytest.mark.parametrize("value", ["", "7,1", "=7,1", "openstack/nova", "openstack/nova=7"])
def test_an_item_without_a_project_or_a_change_is_refused(value: str) -> None:
    with pytest.raises(click.BadParameter, match="give"):
        ItemParameter().convert(value, None, None)
