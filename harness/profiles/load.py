# SPDX-License-Identifier: Apache-2.0
"""Finds profiles by name or path."""

import difflib
from collections.abc import Mapping
from pathlib import Path

from bsdgate.harness.errors import ConfigurationError, UsageError
from bsdgate.harness.profiles import boards, releases, settings
from bsdgate.harness.profiles.local import LocalProfile
from bsdgate.harness.profiles.model import Profile, Scalar

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the profiles that come with bsdgate."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load(name_or_path: str, factor: float | None = None) -> Profile:
    """Return the profile with a name, or from a file if the text ends in .yaml or has a slash.

    ``factor`` replaces the profile's factor for time limits.

    :raises UsageError: there is no such profile.
    :raises ConfigurationError: the profile is wrong.
    """
    path = _path(name_or_path)
    profile = settings.read(path, Profile)
    if profile.release not in releases.names():
        raise ConfigurationError(
            f"{path}: there are no constraints for release {profile.release!r}",
            f"known releases: {', '.join(releases.names())}",
        )
    return profile.with_factor(factor)


def load_local(name_or_path: str, factor: float | None = None) -> Profile:
    """Return a profile as ``load`` does, if its cloud can run on this machine.

    :raises UsageError: there is no such profile.
    :raises ConfigurationError: the profile is wrong, or this machine lacks its nodes or boards.
    """
    profile = load(name_or_path, factor)
    if problems := settings.problems(_path(name_or_path), LocalProfile):
        raise ConfigurationError(
            f"the cloud of profile {profile.name} cannot run on this machine:",
            f"choose one that can: --profile {' or '.join(local_names())}",
            problems,
        )
    return profile


def local_names() -> list[str]:
    """Return the names of bsdgate's profiles with clouds that can run on this machine."""
    paths = {name: _FOLDER / f"{name}.yaml" for name in names()}
    return [name for name, path in paths.items() if not settings.problems(path, LocalProfile)]


def service_options(profile: Profile) -> Mapping[str, Mapping[str, Mapping[str, Scalar]]]:
    """Return the options of oslo.config that override defaults, by service, section and name.

    Options in the profile override the options for its boards.
    """
    found: dict[str, dict[str, dict[str, Scalar]]] = {
        name: dict(service.options) for name, service in profile.services.items()
    }
    if needed := boards.options(profile.boards):
        found["ironic"]["DEFAULT"] = {**needed, **found["ironic"].get("DEFAULT", {})}
    return found


def _path(name_or_path: str) -> Path:
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        return Path(name_or_path)
    if name_or_path in names():
        return _FOLDER / f"{name_or_path}.yaml"
    raise UsageError(f"there is no profile {name_or_path!r}", _proposal(name_or_path))


def _proposal(wrong: str) -> str:
    near = difflib.get_close_matches(wrong, names(), n=1)
    question = f"did you mean {near[0]}? " if near else ""
    return f"{question}Known: {', '.join(names())}, or the path of a YAML file"
