# SPDX-License-Identifier: Apache-2.0
"""The settings of the listener: a YAML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bsdgate.harness.errors import UsageError
from bsdgate.harness.profiles.settings import read as read_settings
from bsdgate.harness.reviews.client import check_url, is_loopback

_DAY: Final = 86400


def _server(url: str) -> str:
    try:
        return check_url(url)
    except UsageError as error:
        raise ValueError(error.message) from error


def _prefix(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ValueError("the address of a log server was expected, such as https://logs.example/")
    if not parts.path.endswith("/") or parts.query or parts.fragment:
        raise ValueError("it must end with a slash, so that no other server or folder matches")
    return url


Server = Annotated[str, AfterValidator(_server)]
Prefix = Annotated[str, AfterValidator(_prefix)]
Name = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    """A part of the settings: immutable, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Broker(Part):
    """The MQTT broker that Zuul publishes to."""

    host: Name
    port: int = Field(default=8883, gt=0, lt=65536)
    ca: Path | None = None
    """The certificates of the authorities that the broker's certificate is checked with."""
    credentials: Path | None = None
    """A file in the format of netrc; by default the variables are used."""
    client_id: Name = "bsdgate-listen"
    topics: tuple[Name, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_encryption(self) -> Self:
        if self.ca is None and not is_loopback(self.host):
            raise ValueError("the key ca is missing: the password would be sent without encryption")
        return self


class Zuul(Part):
    """Zuul's REST API, and the log servers of its builds."""

    url: Server
    tenant: Name
    logs: tuple[Prefix, ...] = Field(min_length=1)
    """The beginnings of the addresses from which verdicts may be fetched."""
    poll: float = Field(default=60.0, ge=0.1, le=_DAY)
    """The seconds between two requests for the buildsets that have ended."""
    grace: float = Field(default=10.0, ge=0, le=_DAY)
    """The seconds for which the message about a buildset may follow its result in the API."""
    give_up: float = Field(default=3600.0, ge=0, le=_DAY)
    """After this number of seconds without an answer of a log server, there is no verdict."""
    token: Path | None = None
    """The file of the token with which patchsets are enqueued; by default a variable is used."""


class Events(Part):
    """How the ssh client reaches Gerrit: its destination, and its file of settings."""

    destination: str = Field(pattern=r"^[^-\s]\S*$")
    config: Path | None = None


class Gerrit(Part):
    """The server that gets the reviews, and the account; with ``label`` null there is no vote."""

    url: Server
    credentials: Path | None = None
    label: Name | None = "Verified"
    timeout: float = Field(default=60.0, ge=1, le=_DAY)
    """The seconds that a request may take; after half of it, Gerrit gives up a post."""
    events: Events | None = None
    """Where the events of Gerrit come from; by default it is asked for its changes."""


class Pipeline(Part):
    """A pipeline; a patchset without a report after ``deadline`` seconds is a warning.

    ``enqueue``: Zuul is asked to enqueue a patchset that it has missed.
    """

    deadline: float = Field(default=4 * 3600.0, gt=0, le=7 * _DAY)
    enqueue: bool = False


class About(Part):
    """The text about the CI in each comment."""

    recheck: str = ""
    contact: str = ""
    wiki: str = ""


class Settings(Part):
    """The settings of the listener."""

    broker: Broker
    zuul: Zuul
    gerrit: Gerrit
    pipelines: Mapping[Name, Pipeline] = Field(min_length=1)
    jobs: tuple[Name, ...] = Field(min_length=1)
    """The jobs that vote; a config project defines all of them."""
    required: Mapping[Name, tuple[Name, ...]] = Field(default_factory=dict)
    """By project, the jobs without which a buildset gives no vote."""
    refused: tuple[Name, ...] = ()
    """The projects that may not be tested together with a change: bsdgate and the test suites."""
    watch: tuple[Name, ...] = ()
    """The projects of which each patchset must get a report within the deadline."""
    about: About = About()
    state: Path | None = None
    """The state directory; by default ``listen`` in the state directory of bsdgate."""

    @model_validator(mode="after")
    def _check_jobs(self) -> Self:
        for project, jobs in self.required.items():
            if unknown := sorted(set(jobs) - set(self.jobs)):
                raise ValueError(f"required.{project}: {', '.join(unknown)} must be in jobs too")
        return self


def read(path: Path) -> Settings:
    """Read the settings; relative paths in them are relative to the file.

    :raises ConfigurationError: the file cannot be read or is wrong.
    """
    found = read_settings(path, Settings)
    broker, gerrit, base = found.broker, found.gerrit, path.absolute().parent
    events, token = gerrit.events, found.zuul.token
    if events is not None and events.config is not None:
        events = events.model_copy(update={"config": base / events.config})
    return found.model_copy(
        update={
            "state": found.state and base / found.state,
            "broker": broker.model_copy(
                update={
                    "ca": broker.ca and base / broker.ca,
                    "credentials": broker.credentials and base / broker.credentials,
                }
            ),
            "gerrit": gerrit.model_copy(
                update={
                    "credentials": gerrit.credentials and base / gerrit.credentials,
                    "events": events,
                }
            ),
            "zuul": found.zuul.model_copy(update={"token": token and base / token}),
        }
    )
