# SPDX-License-Identifier: Apache-2.0
"""Types of command-line arguments; click checks the values before it calls the command."""

import math
from pathlib import Path
from typing import Any

import click
import yaml

from bsdgate.harness.cloud.service import SERVICES
from bsdgate.harness.cloud.spec import CloudName, checked_name
from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes.address import FORM, Address
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


class NodeAddressParameter(click.ParamType[tuple[str, Address]]):
    """A node of a job, and its address."""

    name = "NODE=URL"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Address]:
        """Check the address."""
        if isinstance(value, tuple):
            return value
        node, _, url = str(value).partition("=")
        if not (node and url):
            self.fail(f"{value!r} is not a node; give one such as freebsd={FORM}", param, ctx)
        try:
            return node, Address.parse(url)
        except UsageError as error:
            self.fail(f"{error.message}; {error.hint}", param, ctx)


class VariableParameter(click.ParamType[tuple[str, Any]]):
    """A variable of Ansible, and its value in YAML."""

    name = "NAME=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Check the name, and parse the value."""
        if isinstance(value, tuple):
            return value
        variable, equals, text = str(value).partition("=")
        if not (equals and variable.isidentifier()):
            self.fail(f"{value!r} is not a variable; give NAME=VALUE", param, ctx)
        try:
            return variable, yaml.safe_load(text)
        except yaml.YAMLError:
            self.fail(f"the value of {variable} is not YAML: {text}", param, ctx)


class ProjectParameter(click.ParamType[tuple[str | None, Path]]):
    """The checkout of a project, and the name of the project if it is given."""

    name = "[NAME=]PATH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str | None, Path]:
        """Check that the checkout is a directory."""
        if isinstance(value, tuple):
            return value
        name, equals, path = str(value).rpartition("=")
        if not Path(path).is_dir():
            self.fail(f"{path or value!r} is not a directory; give [NAME=]PATH", param, ctx)
        return (name if equals else None), Path(path)
