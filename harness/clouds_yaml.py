# SPDX-License-Identifier: Apache-2.0
"""The user's clouds.yaml: our entry is added and removed, the rest is left unchanged.

Each change is made under a lock and replaces the file in one step: a reader finds the old or the
new file. The lock is a file in the same directory, which exists during the change: it excludes all
processes that change the same file, whatever their state directory and the file system are.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from bsdgate.harness import files, folders, paths
from bsdgate.harness.errors import UsageError
from bsdgate.harness.yaml_splice import SpliceError, Text

# Not multiplied by the factor for slow nodes: the file is on this machine.
LOCK_SECONDS: Final = 30.0
"""The maximum number of seconds to wait for another process that changes the file."""

_CLOUDS: Final = "clouds"
_ELSEWHERE: Final = "set OS_CLIENT_CONFIG_FILE to another file"


def path() -> Path:
    """Return the file that OpenStack's clients read for this user."""
    if os.environ.get("OS_CLIENT_CONFIG_FILE"):
        return Path(os.environ["OS_CLIENT_CONFIG_FILE"]).absolute()
    home = os.environ.get("XDG_CONFIG_HOME") or paths.home("OS_CLIENT_CONFIG_FILE") / ".config"
    return Path(home).absolute() / "openstack" / "clouds.yaml"


def check(file: Path, name: str) -> None:
    """Check that the entry ``name`` can be written to ``file``.

    :raises UsageError: the file is broken, or has an entry ``name`` that bsdgate has not made.
    """
    with _locked(file):
        _without_ours(file, _load(file), name)


def put(file: Path, name: str, entry: Mapping[str, Any]) -> None:
    """Set the entry ``name``; every other byte of the file stays.

    :raises UsageError: as ``check`` does.
    """
    with _locked(file):
        _save(file, _without_ours(file, _load(file), name).with_entry(name, entry))


def url_of(entry: Mapping[str, Any]) -> str:
    """Return the URL of the first request of a client with this entry."""
    return str(entry["auth"].get("auth_url") or entry["auth"]["endpoint"])


def drop(file: Path, name: str, url: str) -> None:
    """Remove the entry ``name``, if its URL is still ``url``."""
    if not file.exists():
        return
    with _locked(file):
        content = _load(file)
        if url in {content.value(name, "auth", key) for key in ("auth_url", "endpoint")}:
            _save(file, content.without(name))


def _without_ours(file: Path, content: Text, name: str) -> Text:
    """Return the text without the entry that a killed cloud has left."""
    if name not in content.names():
        return content
    if not content.is_marked(name):
        raise UsageError(
            f"{file} has an entry {name!r} that bsdgate has not made",
            f"remove it, give the cloud another name (--name), or {_ELSEWHERE}",
        )
    return content.without(name)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Exclude other writers of the file, and add its path to errors.

    If the file is a link, its target is changed.
    """
    target = file.resolve()
    try:
        if not target.parent.is_dir():
            folders.make(target.parent)
        with files.exclusive(target.with_name(f".{target.name}.lock"), LOCK_SECONDS):
            yield
    except SpliceError as error:
        raise _refusal(f"{file}: {error}") from error
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}", _ELSEWHERE) from error


def _load(file: Path) -> Text:
    try:
        return Text(file.read_bytes().decode() if file.exists() else "", _CLOUDS)
    except UnicodeDecodeError as error:
        raise _refusal(f"{file}: not UTF-8: {error.reason} at byte {error.start}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise _refusal(f"{file}{line}: {problem}") from error


def _refusal(message: str) -> UsageError:
    return UsageError(message, f"correct the file, or {_ELSEWHERE}")


def _save(file: Path, content: Text) -> None:
    files.write_atomically(file.resolve(), content.text.encode(), _ELSEWHERE)
