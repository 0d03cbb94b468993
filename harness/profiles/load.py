# SPDX-License-Identifier: Apache-2.0
"""Finds profiles by name or path."""

import difflib
from pathlib import Path

from bsdgate.harness.errors import ConfigurationError, UsageError
from bsdgate.harness.profiles import releases, settings
from bsdgate.harness.profiles.model import Profile

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the profiles that come with bsdgate."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load(name_or_path: str, factor: float | None = None) -> Profile:
    """Return the profile of that name, or from that file if it ends in .yaml or has a slash.

    ``factor`` takes the place of the profile's own factor of time limits.

    :raises UsageError: there is no such profile.
    :raises ConfigurationError: it is wrong.
    """
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
    elif name_or_path in names():
        path = _FOLDER / f"{name_or_path}.yaml"
    else:
        raise UsageError(f"there is no profile {name_or_path!r}", _proposal(name_or_path))
    profile = settings.read(path, Profile)
    if profile.release not in releases.names():
        raise ConfigurationError(
            f"{path}: there are no constraints for release {profile.release!r}",
            f"known releases: {', '.join(releases.names())}",
        )
    return profile.with_factor(factor)


def load_local(name_or_path: str, factor: float | None = None) -> Profile:
    """Return a profile as ``load`` does; its nodes must be processes of this machine.

    :raises UsageError: there is no such profile, or its nodes come from elsewhere.
    :raises ConfigurationError: it is wrong.
    """
    profile = load(name_or_path, factor)
    if profile.nodes.source != "local":
        raise UsageError(
            f"profile {profile.name} takes its nodes from {profile.nodes.source!r},"
            " which this version cannot provide",
            "use --profile embedded",
        )
    return profile


def _proposal(wrong: str) -> str:
    near = difflib.get_close_matches(wrong, names(), n=1)
    question = f"did you mean {near[0]}? " if near else ""
    return f"{question}Known: {', '.join(names())}, or the path of a YAML file"
