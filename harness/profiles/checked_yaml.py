# SPDX-License-Identifier: Apache-2.0
"""Reads a YAML file into a model, and says of all that is wrong where it stands."""

import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bsdgate.harness.errors import ConfigurationError

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[str | int, ...]

_QUOTED = re.compile(r"'([^']+)'")


def read(path: Path, model: type[Model]) -> Model:
    """Read the YAML file ``path`` into ``model``.

    :raises ConfigurationError: it cannot be read or is wrong; ``problems`` has all that is wrong,
        each with file, line and column, the value, and what it might be instead.
    """
    hint = "mend the file; doc/source/reference has every key"
    try:
        document = _Document(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}", "give the path of a file that you may read"
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise ConfigurationError(f"{where}: not YAML: {error.problem}", hint) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not YAML: {error}", hint) from error
    found = list(document.problems)
    try:
        valid = model.model_validate(document.data)
    except ValidationError as error:
        found += [_described(detail, document, model) for detail in error.errors()]
    if found:
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        lines = [f"{path}:{line}:{column}: {text}" for line, column, text in sorted(found)]
        raise ConfigurationError(f"{path} has {count}:", hint, lines)
    return valid


class _Document:
    """The plain data of a YAML document, and where each of its keys and values stands."""

    def __init__(self, content: bytes) -> None:
        self.problems: list[tuple[int, int, str]] = []
        self._values: dict[Place, tuple[int, int]] = {}
        self._keys: dict[Place, tuple[int, int]] = {}
        self._loader = yaml.SafeLoader(content)
        node = self._loader.get_single_node()
        self.data: Any = {} if node is None else self._build(node, ())

    def _build(self, node: yaml.Node, place: Place) -> Any:
        self._values[place] = _position(node)
        if isinstance(node, yaml.MappingNode):
            return self._build_mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._loader.construct_object(node)

    def _build_mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                self.problems.append((*_position(key_node), "a key must be a word"))
            elif key in built:
                first = self._keys[(*place, key)][0]
                text = f"{key} stands here a second time, first in line {first}"
                self.problems.append((*_position(key_node), text))
            else:
                self._keys[(*place, key)] = _position(key_node)
                built[key] = self._build(value_node, (*place, key))
        return built

    def locate(self, loc: Place) -> tuple[Place, tuple[int, int]]:
        """Return the place in the file that pydantic's ``loc`` means, and its line and column."""
        place: Place = ()
        for step in loc:
            # A step that is not in the file is the name of a variant, or a key that is missing.
            if (*place, step) in self._values:
                place = (*place, step)
        return place, self._values.get(place, (1, 1))

    def locate_key(self, place: Place) -> tuple[int, int]:
        """Return line and column of a key."""
        return self._keys.get(place, (1, 1))


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _described(
    detail: ErrorDetails, document: _Document, model: type[BaseModel]
) -> tuple[int, int, str]:
    place, (line, column) = document.locate(detail["loc"])
    name = ".".join(map(str, place)) or "the file"
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        line, column = document.locate_key(place)
        return line, column, f"unknown key {name}{_choice(place[-1], _keys(model, detail['loc']))}"
    if kind == "missing":
        return line, column, f"{name} lacks the key {detail['loc'][-1]}"
    if detail["loc"][-1:] == ("[key]",):
        line, column = document.locate_key(place)
    expected = _QUOTED.findall(str(context.get("expected") or context.get("expected_tags") or ""))
    if expected:
        wrong = value.get("source") if isinstance(value, dict) else value
        return line, column, f"{name}: {wrong!r} is not known{_choice(wrong, expected)}"
    text = str(context["error"]) if kind == "value_error" else detail["msg"]
    shown = "" if isinstance(value, dict | list) else f" {value!r}:"
    quotes = kind == "string_type" and isinstance(value, int | float)
    return line, column, f"{name}:{shown} {text}{'; put it in quotes' if quotes else ''}"


def _choice(value: object, allowed: Iterable[str]) -> str:
    listed = sorted(allowed)
    near = difflib.get_close_matches(str(value), listed, n=1)
    question = f"; did you mean {near[0]}?" if near else ""
    return f"{question} (allowed: {', '.join(listed)})"


def _keys(model: type[BaseModel], loc: Place) -> set[str]:
    """Return the keys that are known where pydantic's ``loc`` found one that is not."""
    models = {model}
    for step in loc[:-1]:
        fields = [each.model_fields[step] for each in models if step in each.model_fields]
        tagged = {each for each in models if step in _tags(each)}
        if fields:
            models = {found for field in fields for found in _models(field.annotation)}
        elif tagged:
            models = tagged
    return {key for each in models for key in each.model_fields}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("source")
    return get_args(field.annotation) if field else ()
