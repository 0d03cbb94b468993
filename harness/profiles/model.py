# SPDX-License-Identifier: Apache-2.0
"""The model of a profile. The YAML file of a profile has the same keys."""

import math
import re
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

Architecture = Literal["amd64", "arm64"]
ServiceName = Literal["keystone", "glance", "placement", "neutron", "nova", "ironic"]
ReasonText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10)]
"""Why something is left out, so that a reader can check it."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
Option = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*\.[a-z][a-z0-9_]*$")]
Trait = Annotated[str, StringConstraints(pattern=r"^CUSTOM_[A-Z0-9_]+$")]
Lack = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z-]*(\.[A-Za-z0-9_-]+)?$")]
"""A feature that a cloud may lack and that has no option in Tempest: see coverage.rules."""
FACTOR_MAX: Final = 1000
ResourceClass = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]+$")]


_NEEDED: Final[dict[ServiceName, set[str]]] = {
    "glance": {"keystone"},
    "placement": {"keystone"},
    "neutron": {"keystone"},
    "nova": {"glance", "keystone", "neutron", "placement"},
}
"""The services that a service needs. Without Keystone, Ironic checks passwords itself."""


def _is_one_value(value: object) -> object:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("not true, false, a number or a string")
    return value


Scalar = Annotated[bool | int | float | str, BeforeValidator(_is_one_value)]
"""The value of an option of oslo.config."""


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]
"""A regular expression that is searched for in a test id."""


class Part(BaseModel):
    """A part of a settings file: immutable, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Local(Part):
    """The embedded cloud, on the machine that the harness runs on."""

    source: Literal["local"]
    """This machine."""


class Qemu(Part):
    """A virtual machine made for the run."""

    source: Literal["qemu"]
    """A virtual machine under QEMU."""
    image: str = Field(min_length=1)
    """A version of FreeBSD as in its release tree, a file, or a URL."""
    architecture: Architecture
    """The architecture of the virtual machine, by FreeBSD's name."""
    filesystem: Literal["ufs", "zfs"]
    """The file system of the image."""
    cpus: int = Field(ge=1, le=64)
    """The number of virtual CPUs."""
    memory_mib: int = Field(ge=512)
    """The memory in MiB."""


class Host(Part):
    """An existing machine with sshd."""

    name: Name
    """The name of the machine in evidence and messages."""
    address: str = Field(min_length=1)
    """The host name or address."""
    port: int = Field(default=22, ge=1, le=65535)
    """The port of sshd."""
    user: str = Field(min_length=1)
    """The user to log in as."""


class Static(Part):
    """Existing machines."""

    source: Literal["static"]
    """Existing machines."""
    hosts: tuple[Host, ...] = Field(min_length=1)
    """The machines."""


class Zuul(Part):
    """The nodes of a Zuul job."""

    source: Literal["zuul"]
    """The nodes of a Zuul job."""
    nodeset: Name
    """The nodeset."""


Nodes = Annotated[Local | Qemu | Static | Zuul, Field(discriminator="source")]


class Service(Part):
    """A service of the cloud."""

    options: dict[str, dict[str, Scalar]] = {}
    """Options of oslo.config, by section and name; they override those of bsdgate."""


class Board(Part):
    """A kind of board that Ironic manages."""

    name: Name
    """The name of the board and of its node in Ironic."""
    architecture: Architecture
    """The architecture of the board, by FreeBSD's name."""
    power: Literal["fake", "ipmi", "pdu-snmp", "redfish"]
    """How the power of the board is switched."""
    boot: tuple[Literal["fake", "ipxe", "pxe", "uefi-http", "virtual-media"], ...] = Field(
        min_length=1
    )
    """The boot methods of the board, the preferred one first."""
    console: Literal["none", "serial"] = "none"
    """The console of the board."""
    resource_class: ResourceClass
    """The resource class of the board in Ironic."""
    traits: tuple[Trait, ...] = ()
    """The traits of the board in Ironic."""

    @model_validator(mode="after")
    def _media_need_redfish(self) -> Self:
        if "virtual-media" in self.boot and self.power != "redfish":
            raise ValueError(f"virtual-media needs power: redfish, not {self.power}")
        return self


class Feature(Part):
    """The value of an option of Tempest, and the reason for it."""

    value: Scalar
    """The value of the option."""
    reason: ReasonText
    """Why the option has this value; it explains the tests that are skipped."""


class Exclusion(Part):
    """Tests that are left out, and the reason."""

    tests: Pattern
    """A regular expression that is searched for in the ids of the tests."""
    tagged: Name | None = None
    """A Tempest attribute that the tests must have, such as slow."""
    reason: ReasonText
    """Why the tests are left out."""


class Timeouts(Part):
    """The time limits in seconds, for a node of usual speed."""

    start: float = Field(default=300, gt=0)
    """Until the services answer after a start, a restart or a reset; a first start makes templates.
    """
    stop: float = Field(default=10, gt=0)
    """Until the services have ended; after that time they are killed."""
    configure: float = Field(default=120, gt=0)
    """Each preparation of the tests: tempest.conf, the list of tests, the host checks."""
    test: float = Field(default=300, gt=0)
    """One test."""
    run: float = Field(default=7200, gt=0)
    """All tests."""
    factor: float | None = Field(default=None, gt=0, le=FACTOR_MAX)
    """The factor for all of these limits, for a slow node. By default the speed of the node is
    measured; for this machine the factor is 1 then.
    """

    def scaled(self) -> Self:
        """Return the limits multiplied by the factor, without a factor."""
        limits, factor = self.model_dump(exclude={"factor"}), self.factor or 1.0
        return self.model_copy(
            update={name: limit * factor for name, limit in limits.items()} | {"factor": None}
        )


class Profile(Part):
    """A cluster: nodes, services, boards, and the Tempest options that follow from them."""

    name: Name
    """The name of the profile."""
    description: str = Field(min_length=1)
    """The cluster in one line."""
    release: str
    """The OpenStack release, such as 2026.2."""
    nodes: Nodes
    """The machines that the services run on."""
    services: dict[ServiceName, Service] = Field(min_length=1)
    """The services of the cloud, by name."""
    boards: tuple[Board, ...] = ()
    """The boards that Ironic manages."""
    features: dict[Option, Feature] = {}
    """Options of Tempest that the profile sets, such as ``compute.min_compute_nodes``."""
    lacks: dict[Lack, ReasonText] = {}
    """Features that the cloud lacks and that have no option in Tempest, with the reasons."""
    excludes: tuple[Exclusion, ...] = ()
    """Tests that the cluster cannot run."""
    suite: Name = "smoke"
    """The suite of ``bsdgate run`` without ``--suite``."""
    concurrency: int = Field(ge=1, le=64)
    """The number of tests that run at the same time."""
    timeouts: Timeouts = Timeouts()
    """The time limits."""

    @model_validator(mode="after")
    def _services_have_what_they_need(self) -> Self:
        missing = [
            f"{name} needs {', '.join(sorted(needed - set(self.services)))}"
            for name, needed in _NEEDED.items()
            if name in self.services and not needed <= set(self.services)
        ]
        if missing:
            raise ValueError(f"{'; '.join(missing)}; only ironic can run alone")
        return self

    @model_validator(mode="after")
    def _boards_need_ironic(self) -> Self:
        if self.boards and "ironic" not in self.services:
            raise ValueError("boards need the service ironic")
        names = [board.name for board in self.boards]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"more than one board is called {', '.join(twice)}")
        return self

    @property
    def factor(self) -> float:
        """The factor for time limits; 1 if it is neither given nor measured."""
        return self.timeouts.factor or 1.0

    @property
    def limits(self) -> Timeouts:
        """The time limits, multiplied by the factor."""
        return self.timeouts.scaled()

    def with_factor(self, factor: float | None) -> Self:
        """Return the profile with another factor for time limits; unchanged if it is None."""
        if factor is None:
            return self
        timeouts = self.timeouts.model_copy(update={"factor": factor})
        return self.model_copy(update={"timeouts": timeouts})

    def skip_reasons(self) -> list[dict[str, str]]:
        """Return the options and the missing features that explain skips, with value and reason."""
        found = {option: (str(one.value), one.reason) for option, one in self.features.items()}
        found |= {name: ("false", reason) for name, reason in self.lacks.items()}
        for name in get_args(ServiceName):
            if name not in self.services:
                absent = ("false", f"The profile has no {name}")
                found.setdefault(f"service_available.{name}", absent)
        return [
            {"option": option, "value": value, "reason": reason}
            for option, (value, reason) in sorted(found.items())
        ]

    def overrides(self) -> dict[str, str]:
        """Return the features as arguments of python-tempestconf: ``section.option``, value.

        Time limits are multiplied by the factor.
        """
        return {
            option: str(self._scaled(option, one.value)) for option, one in self.features.items()
        }

    def _scaled(self, option: str, value: Scalar) -> Scalar:
        # bool is a subclass of int.
        if not option.endswith("_timeout") or isinstance(value, bool | str):
            return value
        return math.ceil(value * self.factor)
