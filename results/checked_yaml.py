# SPDX-License-Identifier: Apache-2.0
"""Reads YAML files into models; each problem has its file, line, column and the allowed values.

A model is a pydantic model or a dataclass. The depth and the number of values of a file are
limited, so that no file exhausts the stack or the memory. An alias counts each time it is used.
"""

import dataclasses
import difflib
import re
from collections.abc import Iterable, Iterator
from inspect import signature
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

Model = TypeVar("Model")
Place = tuple[str | int, ...]
"""The keys and list indices that lead to a value."""

DEPTH_BOUND: Final = 32
VALUES_BOUND: Final = 100_000
"""The maximum depth of a file, and the maximum number of its values."""

# The loader of libyaml, if PyYAML has it, is ten times as fast.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TOP: Final = yaml.Mark("", 0, 0, 0, None, 0)
_QUOTED: Final = re.compile(r"'([^']+)'")
_COMMENT: Final = re.compile(r"\s*#")
_UNKNOWN_KEY: Final = ("extra_forbidden", "unexpected_keyword_argument")
_MAPPING_EXPECTED: Final = ("dataclass_type", "model_type", "dict_type")
_ADAPTERS: Final[dict[type[Any], TypeAdapter[Any]]] = {}


@dataclasses.dataclass(frozen=True, order=True)
class FileProblem:
    """A problem in a file. Lines and columns count from 1; line 0 stands for the whole file."""

    file: Path
    line: int
    column: int
    text: str
    place: Place = dataclasses.field(default=(), compare=False)

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else str(self.file)
        return f"{where}: {self.text}"


class Document:
    """The plain data of a YAML file, and the line and column of each key and value.

    ``data`` is None if the file is empty or ``readable`` is false. ``problems`` has the reason why
    the file cannot be read, and keys that are duplicates or not words. With ``scalars_as_text``
    each scalar is the text in the file, or None for a null.
    """

    def __init__(self, file: Path, *, scalars_as_text: bool = False) -> None:
        self.file = file
        self.problems: list[FileProblem] = []
        self.data: Any = None
        self.readable = False
        self._scalars_as_text = scalars_as_text
        self._lines: list[str] = []
        # The nodes of the key and of the value at each place.
        self._nodes: dict[Place, tuple[yaml.Node | None, yaml.Node]] = {}
        self._read()

    def validate(
        self, model: type[Model], data: Any, place: Place = ()
    ) -> tuple[Model | None, list[FileProblem]]:
        """Return ``data``, the value at ``place``, as a ``model``; None and problems if invalid."""
        if model not in _ADAPTERS:
            _ADAPTERS[model] = TypeAdapter(model)
        try:
            return _ADAPTERS[model].validate_python(data), []
        except ValidationError as error:
            return None, [self._describe(detail, model, place) for detail in error.errors()]

    def problem(self, place: Place, text: str, *, at_key: bool = False) -> FileProblem:
        """Return a problem at the line of the value at ``place``, or of its key (``at_key``)."""
        key, node = self._nodes.get(self._find(place), (None, None))
        at = (key if at_key else None) or node
        return self._at(at.start_mark if at else _TOP, text, place)

    def comment_follows(self, place: Place) -> bool:
        """Whether a comment follows the value at ``place``, a text without quotes."""
        node = self._nodes[self._find(place)][1]
        if not isinstance(node, yaml.ScalarNode) or node.style:
            return False
        end = node.end_mark
        rest = "".join(self._lines[end.line : end.line + 1])[end.column :]
        return _COMMENT.match(rest) is not None

    def _read(self) -> None:
        try:
            text = self.file.read_text(encoding="utf-8-sig")
            self._lines = text.splitlines()
            _check_depth(text)
            self._loader = _LOADER(text)
            root = self._loader.get_single_node()
            self.data = None if root is None else self._build(root, ())
            self.readable = True
        except OSError as error:
            self._refuse(f"cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            self._refuse(f"not UTF-8: {error.reason} at byte {error.start}")
        except yaml.MarkedYAMLError as error:
            text = f"not YAML: {error.problem or error.context}"
            self._refuse(text, error.problem_mark or error.context_mark)
        except yaml.YAMLError as error:
            self._refuse(f"not YAML: {' '.join(str(error).split())}")

    def _refuse(self, text: str, mark: yaml.Mark | None = None) -> None:
        self.problems = [self._at(mark, text, ())]

    def _at(self, mark: yaml.Mark | None, text: str, place: Place) -> FileProblem:
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        return FileProblem(self.file, line, column, text, place)

    def _build(self, node: yaml.Node, place: Place, key: yaml.Node | None = None) -> Any:
        self._nodes[place] = key, node
        if len(place) > DEPTH_BOUND:
            raise yaml.YAMLError("nested too deeply")
        if len(self._nodes) > VALUES_BOUND:
            raise yaml.YAMLError(f"more than {VALUES_BOUND} values")
        if isinstance(node, yaml.MappingNode):
            return self._build_mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*place, index)) for index, item in enumerate(node.value)]
        if self._scalars_as_text:
            return None if node.tag.endswith(":null") else node.value
        try:
            return self._loader.construct_object(node)
        except ValueError:
            # The text, such as 2026-02-30, has the form of a date but is not a date.
            return node.value

    def _build_mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            problem = None
            if not isinstance(key_node, yaml.ScalarNode):
                problem = "a key must be a word"
            elif key in built:
                first = self.problem((*place, key), "", at_key=True).line
                problem = f"duplicate key {key}, first in line {first}"
            if problem:
                self.problems.append(self._at(key_node.start_mark, problem, place))
            else:
                built[key] = self._build(value_node, (*place, key), key_node)
        return built

    def _find(self, place: Place) -> Place:
        """Return the keys and indices in ``place`` that exist in the file."""
        found: Place = ()
        for step in place:
            # Others are a missing key, or the name of one variant of a union of models.
            if (*found, step) in self._nodes:
                found = (*found, step)
        return found

    def _describe(self, detail: ErrorDetails, model: type[Any], base: Place) -> FileProblem:
        loc = detail["loc"]
        place = self._find((*base, *loc))
        inner = place[len(base) :]
        name = ".".join(map(str, inner)) or ("the entry" if base else "the file")
        if detail["type"] in _UNKNOWN_KEY:
            choice = _choice(inner[-1], _keys_at(model, loc[:-1]))
            return self.problem(place, f"unknown key {name}{choice}", at_key=True)
        if detail["type"] == "missing":
            return self.problem(place, f"the key {loc[-1]} is missing in {name}")
        text = f"{name}: {_explain(detail, _keys_at(model, loc))}"
        return self.problem(place, text, at_key=loc[-1:] == ("[key]",))


def _check_depth(text: str) -> None:
    # libyaml recurses without a limit when it builds nodes, so the depth is checked before.
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_BOUND:
            raise yaml.YAMLError("nested too deeply")


def _explain(detail: ErrorDetails, keys: Iterable[str]) -> str:
    """Return a text with the wrong value and the expected value."""
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


def _keys_at(model: type[Any], loc: Place) -> list[str]:
    """Return the keys allowed at ``loc``, the place of an error of pydantic in ``model``."""
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
    return {name: field.annotation for name, field in signature(model).parameters.items()}


def _models(annotation: Any) -> Iterator[type[Any]]:
    """Yield the models in a type annotation."""
    if isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)
    ):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
