# SPDX-License-Identifier: Apache-2.0
"""The manifest of a run, which is its request, and ``node.json``, which describes its node."""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from bsdgate.harness import identity
from bsdgate.harness.errors import ConfigurationError, UsageError
from bsdgate.harness.identity import Settings

SCHEMA: Final = 3
NODE_SCHEMA: Final = 2
INSPECTION_SCHEMA: Final = 1

RunnerKind = Literal["tempest", "hostchecks", "apichecks", "rally"]


def _default_name(fields: dict[str, Any]) -> str:
    return f"{fields['created']:%Y%m%dT%H%M%SZ}-{fields['suite']}-{fields['run_id'][:6]}"


class AskedProject(BaseModel):
    """A project of ``--with``: its code is not the code of the release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str
    """The project, such as ``nova``."""
    source: str
    """The path, URL or version in ``--with``."""
    identity: str
    """The commit, the version, or the digest of the source files: equal if the code is equal."""


class ChangedProject(AskedProject):
    """A project that is installed with code other than the release's."""

    version: str
    """The version that was installed."""


class AskedCloud(BaseModel):
    """The standing cloud of ``--cloud``: a cloud that bsdgate neither starts nor ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """The name of the cloud in clouds.yaml."""
    prefix: str
    """The prefix of the names of all resources that runs create in the cloud."""
    accounts: Path | None = None
    """The file with the accounts for tests."""


class NodeDocument(BaseModel):
    """``node.json``: the node of a run. Every attempt has the digest of this document."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: int = Field(default=NODE_SCHEMA, alias="schema")
    """The version of the document."""
    run_id: str
    """The id of the run."""
    name: str
    """The name of the node."""
    facts: dict[str, str]
    """The properties of the node; known failures can be limited to some of them."""
    versions: dict[str, str]
    """The installed Python distributions."""
    changes: tuple[ChangedProject, ...] = Field(default=(), alias="with")
    """The projects under test."""


class Repository(BaseModel):
    """A package repository that is configured on a node."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """The name of the repository, such as ``FreeBSD-ports``."""
    url: str
    """The URL of the repository, without a user and a password."""
    enabled: bool
    """Whether packages are installed from the repository."""
    priority: int
    """The priority: the repository with the highest number is used first."""


class ClockDifference(BaseModel):
    """The difference between the clock of a node and the clock of the controller."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float = 0.0
    """The number of seconds by which the clock of the node is ahead; negative: behind."""
    uncertainty: float = 0.0
    """The maximum error of the number, in seconds."""


class Inspection(BaseModel):
    """``node/NN-begin.json`` and ``node/NN-end.json``: the node before and after the tests."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: int = Field(default=INSPECTION_SCHEMA, alias="schema")
    """The version of the document."""
    run_id: str
    """The id of the run."""
    name: str
    """The name of the node."""
    taken: datetime
    """The time of the inspection, by the clock of the controller."""
    booted: datetime
    """The time at which the node was booted, by the clock of the controller."""
    clock: ClockDifference
    """The difference between the clocks."""
    facts: dict[str, str]
    """The properties of the node."""
    packages: dict[str, str]
    """The version of each installed package of FreeBSD, by name; empty on other systems."""
    repositories: tuple[Repository, ...]
    """The package repositories of FreeBSD."""


class Manifest(BaseModel):
    """``manifest.json``: the request. It is written once, before all other files of the run."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: int = Field(default=SCHEMA, alias="schema")
    """The version of the document."""
    bsdgate_version: str = Field(default_factory=identity.version)
    """The version of bsdgate, with its commit."""
    bsdgate_sha256: str = Field(default_factory=identity.digest)
    """The SHA-256 of bsdgate's files."""
    run_id: str = Field(default_factory=lambda: uuid.uuid4().hex)
    """The unique id of the run."""
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    """The time at which the run began."""
    profile: str
    """The name or the file of the profile."""
    suite: str
    """The name of the suite."""
    name: str = Field(default_factory=_default_name)
    """The name of the run directory."""
    release: str
    """The OpenStack release."""
    evidence: tuple[RunnerKind, ...]
    """The kinds of attempts that the run must have."""
    selection: str | None = None
    """The regular expression in ``--tests``."""
    concurrency: int
    """The number of tests that run at the same time."""
    changes: tuple[AskedProject, ...] = Field(default=(), alias="with")
    """The projects under test."""
    change: str | None = None
    """The number of the change on the review server."""
    patchset: str | None = None
    """The number of the patchset of the change."""
    changed_files: tuple[str, ...] = ()
    """The files that the change under test modifies, relative to its project."""
    on: str | None = None
    """The URL of the node; null: the machine that bsdgate ran on."""
    policy: str = "developer"
    """The policy by which the run is judged."""
    features: tuple[dict[str, str], ...] = ()
    """The settings in the profile that explain skipped tests."""
    cloud: AskedCloud | None = None
    """The standing cloud; null: the run starts a cloud."""
    expectations: dict[str, str] = {}
    """The SHA-256 of each file of ``--expectations``, by name."""
    profile_settings: Settings
    """The content of the profile, and its SHA-256."""
    suite_settings: Settings
    """The content of the suite, and its SHA-256."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the manifest of a run, to resume it.

        :raises UsageError: the file is no manifest, or was written by another bsdgate.
        """
        try:
            fields = json.loads(path.read_bytes())
            _refuse_other_bsdgate(path.parent, fields)
            return cls.model_validate(fields)
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path} is not a manifest: {error}", "start a new run") from error

    def refuse_other_settings(self, run: Path, profile: BaseModel, suite: BaseModel) -> None:
        """Check that the profile and the suite have not changed; ``run`` is the run directory.

        :raises ConfigurationError: a value differs; ``problems`` has a line for each of these.
        """
        pairs = {
            f"profile {self.profile}": (self.profile_settings, Settings.of(profile)),
            f"suite {self.suite}": (self.suite_settings, Settings.of(suite)),
        }
        problems = [
            f"{name}: {difference}"
            for name, (before, now) in pairs.items()
            if before.sha256 != now.sha256
            for difference in before.differences(now)
        ]
        if problems:
            raise ConfigurationError(
                f"{run} was begun with other settings:",
                "undo the change in the file, or start a new run",
                problems,
            )


def _refuse_other_bsdgate(run: Path, fields: dict[str, Any]) -> None:
    schema, made_by = fields["schema"], fields["bsdgate_version"]
    if schema != SCHEMA:
        raise UsageError(
            f"{run} was made by bsdgate {made_by} with a manifest of schema {schema},"
            f" and bsdgate {identity.version()} resumes runs of schema {SCHEMA} only",
            f"resume the run with bsdgate {made_by}, or start a new run",
        )
    if fields["bsdgate_sha256"] != identity.digest():
        raise UsageError(
            f"{run} was made by bsdgate {made_by}, but bsdgate {identity.version()} is installed:"
            f" the SHA-256 of bsdgate's files was {fields['bsdgate_sha256']:.12},"
            f" and is {identity.digest():.12}",
            "install the bsdgate that made it, with the same local changes, or start a new run",
        )
