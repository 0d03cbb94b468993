# SPDX-License-Identifier: Apache-2.0
"""The user's clouds.yaml: our entry put in and taken out, everything else left as it is."""

import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bsdgate.harness.errors import UsageError
from bsdgate.harness.files import write_atomically

_OURS: Final = "http://127.0.0.1:"
"""How the address of every embedded cloud begins; a killed one may have left its entry."""


def path() -> Path:
    """Return the file that OpenStack's clients read for this user."""
    if os.environ.get("OS_CLIENT_CONFIG_FILE"):
        return Path(os.environ["OS_CLIENT_CONFIG_FILE"]).absolute()
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home).absolute() / "openstack" / "clouds.yaml"


def check(file: Path, name: str) -> None:
    """Raise UsageError if the entry ``name`` could not be put into ``file``.

    It cannot where the file is broken, or has such an entry of somebody else's.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write {file}: {error.strerror}", "name another file in OS_CLIENT_CONFIG_FILE"
        ) from error
    clouds = _load(file)["clouds"]
    if name in clouds and not _auth_url(clouds[name]).startswith(_OURS):
        raise UsageError(
            f"{file} has an entry {name!r} that is not of an embedded cloud",
            "give the cloud another name (--name), or another file in OS_CLIENT_CONFIG_FILE",
        )


def put(file: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Set the entry ``name``; comments and the order of the others stay."""
    check(file, name)
    content = _load(file)
    content["clouds"][name] = dict(entry)
    _save(file, content)


def drop(file: Path, name: str, auth_url: str) -> None:
    """Take the entry ``name`` out, if it is still the one for ``auth_url``."""
    content = _load(file)
    if name in content["clouds"] and _auth_url(content["clouds"][name]) == auth_url:
        del content["clouds"][name]
        _save(file, content)


def _auth_url(entry: Any) -> str:
    try:
        return str(entry["auth"]["auth_url"])
    except (KeyError, TypeError):
        return ""


def _load(file: Path) -> Any:
    try:
        content = _yaml().load(file.read_text()) if file.exists() else None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise _refusal(f"{file}{line}: {problem}") from error
    content = {} if content is None else content
    if not isinstance(content, dict) or not isinstance(content.get("clouds") or {}, dict):
        raise _refusal(f"{file}: not a mapping with a mapping 'clouds' in it")
    if content.get("clouds") is None:
        content["clouds"] = {}
    return content


def _refusal(message: str) -> UsageError:
    return UsageError(message, "mend the file, or name another one in OS_CLIENT_CONFIG_FILE")


def _save(file: Path, content: Any) -> None:
    text = StringIO()
    _yaml().dump(content, text)
    # Of a link, what it points to is replaced.
    write_atomically(file.resolve(), text.getvalue().encode())


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    return yaml
