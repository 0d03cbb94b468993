# SPDX-License-Identifier: Apache-2.0
"""The model of a profile with a cloud that can run on this machine."""

from pydantic import field_validator

from bsdgate.harness.profiles.boards import DRIVERS
from bsdgate.harness.profiles.model import Board, Nodes, Profile


class LocalBoard(Board):
    """A board without hardware."""

    @field_validator("power")
    @classmethod
    def _needs_no_hardware(cls, power: str) -> str:
        if power != "fake":
            driver = DRIVERS[power]
            raise ValueError(f"Ironic's driver {driver} is missing on this machine (allowed: fake)")
        return power


class LocalProfile(Profile):
    """A profile of the embedded cloud."""

    boards: tuple[LocalBoard, ...] = ()

    @field_validator("nodes")
    @classmethod
    def _are_here(cls, nodes: Nodes) -> Nodes:
        if nodes.source != "local":
            text = f"the source {nodes.source} is not supported by this version (allowed: local)"
            raise ValueError(text)
        return nodes
