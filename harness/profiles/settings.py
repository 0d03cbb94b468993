# SPDX-License-Identifier: Apache-2.0
"""Reads a settings file: a profile, a suite or a Rally task."""

from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel

from bsdgate.harness.errors import ConfigurationError
from bsdgate.results.checked_yaml import Document

Model = TypeVar("Model", bound=BaseModel)

_HINT: Final = "correct the file"


def problems(path: Path, model: type[BaseModel]) -> list[str]:
    """Return the problems of a readable file with ``model``, in the form of ``read``."""
    document = Document(path)
    _, wrong = document.validate(model, document.data)
    return [str(problem) for problem in sorted(wrong)]


def read(path: Path, model: type[Model]) -> Model:
    """Read the YAML file ``path`` into ``model``.

    :raises ConfigurationError: the file cannot be read or is wrong; ``problems`` has all problems,
        each with file, line and column, the value, and the allowed values.
    """
    document = Document(path)
    if not document.readable:
        raise ConfigurationError(str(document.problems[0]), _HINT)
    settings, wrong = document.validate(model, {} if document.data is None else document.data)
    problems = sorted([*document.problems, *wrong])
    if settings is None or problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigurationError(f"{path} has {count}:", _HINT, list(map(str, problems)))
    return settings
