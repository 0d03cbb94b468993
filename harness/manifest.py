# SPDX-License-Identifier: Apache-2.0
"""The manifest of a run: what it is, and what it is made with."""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from bsdgate.harness import identity
from bsdgate.harness.errors import ConfigurationError, UsageError
from bsdgate.harness.identity import Settings

SCHEMA: Final = 2

Kind = Literal["tempest", "hostchecks", "apichecks", "rally"]


def _default_name(fields: dict[str, Any]) -> str:
    return f"{fields['created']:%Y%m%dT%H%M%SZ}-{fields['suite']}-{fields['run_id'][:6]}"


class ChangedProject(BaseModel):
    """A project that a run uses in another state than the release's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str
    source: str
    version: str
    identity: str


class Manifest(BaseModel):
    """What a run is: enough to run it again. Written once, before anything else."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: int = Field(default=SCHEMA, alias="schema")
    bsdgate_version: str = Field(default_factory=identity.version)
    bsdgate_sha256: str = Field(default_factory=identity.digest)
    run_id: str = Field(default_factory=lambda: uuid.uuid4().hex)
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    profile: str
    suite: str
    name: str = Field(default_factory=_default_name)
    release: str
    evidence: tuple[Kind, ...]
    selection: str | None = None
    concurrency: int
    seed: int
    changes: tuple[ChangedProject, ...] = Field(default=(), alias="with")
    change: str | None = None
    patchset: str | None = None
    changed_files: tuple[str, ...] = ()
    policy: str = "developer"
    facts: dict[str, str] = {}
    features: tuple[dict[str, str], ...] = ()
    expectations: dict[str, str] = {}
    versions: dict[str, str]
    profile_settings: Settings
    suite_settings: Settings

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the manifest of a run that is to be resumed.

        :raises UsageError: it is none, or the run was made by another bsdgate than this one.
        """
        try:
            fields = json.loads(path.read_bytes())
            _refuse_other_bsdgate(path.parent, fields)
            return cls.model_validate(fields)
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path} is not a manifest: {error}", "start a new run") from error

    def refuse_other_settings(self, run: Path, profile: BaseModel, suite: BaseModel) -> None:
        """See that the profile and the suite are what the run in the directory ``run`` has.

        :raises ConfigurationError: one of them is not; ``problems`` names each value that differs.
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
            "resume it with the bsdgate that made it, or start a new run",
        )
    if fields["bsdgate_sha256"] != identity.digest():
        raise UsageError(
            f"{run} was made by bsdgate {made_by}, and this is {identity.version()}:"
            f" the SHA-256 of its files was {fields['bsdgate_sha256']:.12},"
            f" and is {identity.digest():.12}",
            "bring back the bsdgate that made it, with any changes to its files,"
            " or start a new run",
        )
