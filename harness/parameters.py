# SPDX-License-Identifier: Apache-2.0
"""Types of command-line arguments; click checks the values before it calls the command."""

import math
from typing import Any

import click

from bsdgate.harness.cloud.service import SERVICES
from bsdgate.harness.cloud.spec import CloudName, checked_name
from bsdgate.harness.errors import UsageError
from bsdgate.harness.profiles.model import FACTOR_MAX

PORTS = range(1, 65536)


class NameParameter(click.ParamType[CloudName]):
    """The name of a cloud."""

    name = "NAME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> CloudName:
        """Check the name."""
        try:
            return checked_name(value)
        except UsageError as error:
            self.fail(f"{error.message}; {error.hint}", param, ctx)


class FactorParameter(click.ParamType[float]):
    """A factor for time limits."""

    name = "FACTOR"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Check the factor."""
        try:
            factor = float(value)
        except ValueError:
            factor = math.nan
        if not 0 < factor <= FACTOR_MAX:
            text = f"{value!r} is not a factor; give a number above 0, at most {FACTOR_MAX}"
            self.fail(text, param, ctx)
        return factor


class ReviewParameter(click.ParamType[tuple[str, str]]):
    """A change on the review server, and its patchset."""

    name = "CHANGE,PATCHSET"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Check both numbers."""
        if isinstance(value, tuple):
            return value
        change, _, patchset = str(value).partition(",")
        if not (change.isdecimal() and patchset.isdecimal()):
            self.fail(f"{value!r} is not a change; give two numbers, such as 912345,3", param, ctx)
        return change, patchset


class ItemParameter(click.ParamType[tuple[str, str, str]]):
    """A project, a change of it on the review server, and the patchset."""

    name = "PROJECT=CHANGE,PATCHSET"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str, str]:
        """Check the project and both numbers."""
        if isinstance(value, tuple):
            return value
        project, _, review = str(value).rpartition("=")
        if not project:
            text = f"{value!r} has no project; give a value such as openstack/nova=912345,3"
            self.fail(text, param, ctx)
        return project, *ReviewParameter().convert(review, param, ctx)


class PortParameter(click.ParamType[tuple[str, int]]):
    """A service and its port."""

    name = "SERVICE=PORT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Check the service and the port."""
        service, _, port = str(value).partition("=")
        if service not in SERVICES:
            self.fail(f"no service {service!r}; choose from {', '.join(SERVICES)}", param, ctx)
        if not port.isdecimal() or int(port) not in PORTS:
            self.fail(f"{port!r} is not a port; give a number from 1 to 65535", param, ctx)
        return service, int(port)
