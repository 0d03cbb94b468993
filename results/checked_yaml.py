# SPDX-License-Identifier: Apache-2.0
"""Reads YAML files into models; each problem has its file, line, column and the allowed values.

A model is a pydantic model or a dataclass. The content of a file is bounded in depth and size, so
that no file exhausts the stack or the memory. An alias counts each time it is used.
"""

import dataclasses
import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar, get_args, get_type_hints

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

Model = TypeVar("Model")
Place = tuple[str | int, ...]
"""The keys and list indices that lead to a value."""

DEPTH_BOUND: Final = 32
VALUES_BOUND: Final = 100_000

# The loader of libyaml, if PyYAML has it, takes a tenth of the time.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STARTS: Final = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_ENDS: Final = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
_QUOTED: Final = re.compile(r"'([^']+)'")
_COMMENT: Final = re.compile(r"\s*#")
_UNKNOWN_KEY: Final = ("extra_forbidden", "unexpected_keyword_argument")
_ADAPTERS: Final[dict[type[Any], TypeAdapter[Any]]] = {}
_MAPPING_EXPECTED: Final = ("dataclass_type", "model_type", "dict_type")


@dataclasses.dataclass(frozen=True, order=True)
class Problem:
    """A fault in a file. Line and column count from 1; the line 0 stands for the whole file."""

    file: Path
    line: int
    column: int
    text: str
    place: Place = dataclasses.field(default=(), compare=False)

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else str(self.file)
        return f"{where}: {self.text}"


class Document:
    """The plain data of a YAML file, and where each of its keys and values is.

    ``data`` is None if the file is empty or ``readable`` is false. ``problems`` has the faults of
    the file as YAML: why it cannot be read, or duplicate keys. With ``scalars_as_text`` each scalar
    is the text in the file, or None.
    """

    def __init__(self, file: Path, *, scalars_as_text: bool = False) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.data: Any = None
        self.readable = False
        self._scalars_as_text = scalars_as_text
        self._values = 0
        self._lines: list[str] = []
        self._root: yaml.Node | None = None
        self._read()

    @property
    def empty(self) -> bool:
        """Whether the file has no value; it may have comments."""
        return self._root is None

    def validate(
        self, model: type[Model], data: Any, place: Place = ()
    ) -> tuple[Model | None, list[Problem]]:
        """Return ``data``, the value at ``place``, as a ``model``, or None and its problems."""
        try:
            return _adapter(model).validate_python(data), []
        except ValidationError as error:
            return None, [self._describe(detail, model, place) for detail in error.errors()]

    def problem(self, place: Place, text: str) -> Problem:
        """Return a problem with the value at ``place``."""
        _, _, node = self._locate(place)
        return self._at(node, text, place)

    def key_problem(self, place: Place, text: str) -> Problem:
        """Return a problem with the key of the value at ``place``."""
        _, key, node = self._locate(place)
        return self._at(key or node, text, place)

    def line(self, place: Place) -> int:
        """Return the line in which the value at ``place`` begins."""
        return self.problem(place, "").line

    def comment_follows(self, place: Place) -> bool:
        """Whether the value at ``place`` is a text without quotes, followed by a comment."""
        node = self._locate(place)[2]
        if not isinstance(node, yaml.ScalarNode) or node.style:
            return False
        end = node.end_mark
        rest = "".join(self._lines[end.line : end.line + 1])[end.column :]
        return _COMMENT.match(rest) is not None

    def _read(self) -> None:
        try:
            text = self.file.read_text(encoding="utf-8-sig")
            self._lines = text.splitlines()
            self._loader = _LOADER(text)
            _check_depth(text)
            self._root = self._loader.get_single_node()
            if self._root is not None:
                self.data = self._build(self._root, ())
            self.readable = True
        except OSError as error:
            self._refuse(f"cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            self._refuse(f"not UTF-8: {error.reason} at byte {error.start}")
        except yaml.MarkedYAMLError as error:
            self._refuse(
                f"not YAML: {error.problem or error.context}",
                error.problem_mark or error.context_mark,
            )
        except yaml.YAMLError as error:
            self._refuse(f"not YAML: {' '.join(str(error).split())}")

    def _refuse(self, text: str, mark: yaml.Mark | None = None) -> None:
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        self.problems = [Problem(self.file, line, column, text)]

    def _build(self, node: yaml.Node, place: Place) -> Any:
        self._values += 1
        if len(place) > DEPTH_BOUND:
            raise yaml.YAMLError("nested too deeply")
        if self._values > VALUES_BOUND:
            raise yaml.YAMLError(f"more than {VALUES_BOUND} values")
        if isinstance(node, yaml.MappingNode):
            return self._build_mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._build_scalar(node)

    def _build_mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(self._at(key_node, "a key must be a word", place))
                continue
            key = str(key_node.value)
            if key in built:
                first = self.key_problem((*place, key), "").line
                text = f"duplicate key {key}, first in line {first}"
                self.problems.append(self._at(key_node, text, place))
            else:
                built[key] = self._build(value_node, (*place, key))
        return built

    def _build_scalar(self, node: yaml.Node) -> Any:
        if self._scalars_as_text:
            return None if node.tag.endswith(":null") else node.value
        try:
            return self._loader.construct_object(node)
        except ValueError:
            # 2026-02-30 has the form of a date but is not a date.
            return node.value

    def _at(self, node: yaml.Node | None, text: str, place: Place) -> Problem:
        mark = node.start_mark if node else None
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return Problem(self.file, line, column, text, place)

    def _locate(self, place: Place) -> tuple[Place, yaml.Node | None, yaml.Node | None]:
        """Return the part of ``place`` that exists in the file, with its key and value."""
        found: Place = ()
        key, node = None, self._root
        for step in place:
            # A step that is not in the file is a missing key, or the name of a variant of a model.
            if (pair := _child(node, step)) is not None:
                found, (key, node) = (*found, step), pair
        return found, key, node

    def _describe(self, detail: ErrorDetails, model: type[Any], base: Place) -> Problem:
        loc = detail["loc"]
        place, _, _ = self._locate((*base, *loc))
        inner = place[len(base) :]
        name = ".".join(map(str, inner)) or ("the entry" if base else "the file")
        if detail["type"] in _UNKNOWN_KEY:
            choice = _choice(inner[-1], _fields_at(model, loc[:-1]))
            return self.key_problem(place, f"unknown key {name}{choice}")
        if detail["type"] in {"missing", "missing_keyword_only_argument"}:
            return self.problem(place, f"the key {loc[-1]} is missing in {name}")
        place_of = self.key_problem if loc[-1:] == ("[key]",) else self.problem
        return place_of(place, f"{name}: {_explain(detail, _fields_at(model, loc))}")


def _check_depth(text: str) -> None:
    # libyaml composes by unbounded recursion, so the depth is checked before.
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        kind = type(event)
        if kind in _STARTS:
            depth += 1
            if depth > DEPTH_BOUND:
                raise yaml.YAMLError("nested too deeply")
        elif kind in _ENDS:
            depth -= 1


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next((pair for pair in node.value if pair[0].value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None


def _adapter(model: type[Model]) -> TypeAdapter[Model]:
    if model not in _ADAPTERS:
        _ADAPTERS[model] = TypeAdapter(model)
    return _ADAPTERS[model]


def _explain(detail: ErrorDetails, keys: Iterable[str]) -> str:
    """Return a text with the wrong value and what was expected."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    expected = _QUOTED.findall(str(context.get("expected") or context.get("expected_tags") or ""))
    if expected:
        wrong = value.get("source") if isinstance(value, dict) else value
        return f"{wrong!r} is not known{_choice(wrong, expected)}"
    shown = "" if value is None or isinstance(value, dict | list) else f"{value!r}: "
    if kind in _MAPPING_EXPECTED:
        listed = f" with the keys {', '.join(keys)}" if keys else ""
        return f"{shown}a mapping{listed} was expected"
    if kind == "string_type":
        quotes = "; put it in quotes" if isinstance(value, int | float) else ""
        return f"{shown}a text was expected{quotes}"
    return f"{shown}{context['error'] if kind == 'value_error' else detail['msg']}"


def _choice(value: object, allowed: Iterable[str]) -> str:
    listed = sorted(allowed)
    near = difflib.get_close_matches(str(value), listed, n=1)
    question = f"; did you mean {near[0]}?" if near else ""
    return f"{question} (allowed: {', '.join(listed)})"


def _fields_at(model: type[Any], loc: Place) -> list[str]:
    """Return the keys that ``model`` allows at pydantic's ``loc``."""
    models = {model}
    for step in loc:
        found = [fields[step] for fields in map(_fields, models) if step in fields]
        tagged = {each for each in models if step in get_args(_fields(each).get("source"))}
        if found:
            models = {inner for annotation in found for inner in _models(annotation)}
        elif tagged:
            models = tagged
    return list(dict.fromkeys(str(key) for each in models for key in _fields(each)))


def _fields(model: type[Any]) -> dict[str | int, Any]:
    hints = get_type_hints(model)
    if issubclass(model, BaseModel):
        return {name: hints[name] for name in model.model_fields}
    return {field.name: hints[field.name] for field in dataclasses.fields(model)}


def _models(annotation: Any) -> Iterator[type[Any]]:
    """Yield the models in a type annotation."""
    if isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)
    ):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
