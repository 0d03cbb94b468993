# SPDX-License-Identifier: Apache-2.0
"""Add and remove one entry of a mapping in a YAML file, as text.

The rest of the file stays as its author wrote it, byte for byte: it is not parsed and written
again. The YAML events of the new text are compared with those of the old text, and a file is
refused if the entry cannot be added without a change to the rest.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

MARK: Final = "# made by bsdgate"
"""The comment at the end of the first line of each entry of bsdgate."""

Span = tuple[int, int]
"""The indexes of a node's first event, and of the first event after it."""

_BREAK: Final = re.compile("\\r\\n|[\\n\\r\\x85\\u2028\\u2029]")
_BOM: Final = "\ufeff"
_EMPTY: Final = (
    ["StreamStartEvent", "StreamEndEvent"],
    [
        "StreamStartEvent",
        "DocumentStartEvent",
        "MappingStartEvent",
        "MappingEndEvent",
        "DocumentEndEvent",
        "StreamEndEvent",
    ],
)
"""The events of an empty text."""


class SpliceError(ValueError):
    """The entry cannot be added or removed without a change to the rest of the text."""


@dataclass(frozen=True)
class Pair:
    """An entry of a mapping: its name, and the positions of its key and value."""

    name: str
    key: Span
    value: Span


class Text:
    """A YAML text with a mapping ``field``, such as ``clouds``, in its top mapping.

    :raises SpliceError: the text has another form.
    :raises yaml.YAMLError: the text is not YAML.
    """

    def __init__(self, text: str, field: str) -> None:
        self.text = text
        self._field = field
        self._events: list[Any] = list(yaml.parse(text, Loader=yaml.SafeLoader))
        documents = sum(isinstance(each, yaml.DocumentStartEvent) for each in self._events)
        if documents > 1:
            raise SpliceError("more than one YAML document")
        self._top = self._span(2) if documents else None
        self._require_mapping(self._top)
        self._holder = self._only(self._top, field)
        self._require_mapping(self._holder.value if self._holder else None)

    # Reading --------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Return the names of the entries."""
        return [pair.name for pair in self._pairs(self._holder.value if self._holder else None)]

    def value(self, name: str, *path: str) -> str | None:
        """Return the scalar at ``path`` in an entry; None if there is none."""
        pair = self._entry(name)
        for step in path:
            pair = self._only(pair.value, step) if pair else None
        event = self._events[pair.value[0]] if pair else None
        return event.value if isinstance(event, yaml.ScalarEvent) else None

    def is_marked(self, name: str) -> bool:
        """Return whether the entry has MARK at the end of its first line."""
        pair = self._entry(name)
        return pair is not None and self._has_mark(pair)

    # Changing -------------------------------------------------------------------------------

    def with_entry(self, name: str, value: Mapping[str, Any]) -> "Text":
        """Return the YAML text with a new entry, in the style of the mapping (block or flow)."""
        if self._holder is None:
            made = self._with_holder(name, value)
        elif self._is_flow(self._holder.value):
            made = self._in_flow(self._begin(self._holder.value) + 1, name, value)
        else:
            end = self._line_end(self._end(self._holder.key))
            made = self._insert(end, self._newline + self._block(name, value, self._indent()))
        return self._checked(made, name, there=True)

    def without(self, name: str) -> "Text":
        """Return the text without an entry, and without a mapping of bsdgate that is empty then."""
        pair = self._entry(name)
        if pair is None or self._holder is None:
            return self
        if self._is_flow(self._holder.value):
            made = self._without_in_flow(pair)
        elif self.names() == [name]:
            made = self._without_last(pair)
        else:
            made = self._cut(self._line_begin(self._begin(pair.key)), self._after(pair))
        return self._checked(made, name, there=False)

    def _with_holder(self, name: str, value: Mapping[str, Any]) -> str:
        if self._top and self._is_flow(self._top):
            return self._in_flow(self._begin(self._top) + 1, self._field, {name: dict(value)})
        first = next(self._pairs(self._top), None)
        begin = self._line_begin(self._begin(first.key)) if first else self._line_begin(0)
        indent = self._column(first.key) if first else 0
        lines = [f"{' ' * indent}{self._field}:  {MARK}", self._block(name, value, indent + 2), ""]
        return self._insert(begin, self._newline.join(lines))

    def _without_last(self, pair: Pair) -> str:
        assert self._holder is not None
        if self._has_mark(self._holder):
            begin = self._line_begin(self._begin(self._holder.key))
            return self._cut(begin, self._after(pair))
        # OpenStack's clients end with a traceback if the mapping has no value.
        made = self._cut(self._line_begin(self._begin(pair.key)), self._after(pair))
        colon = self.text.index(":", self._end(self._holder.key)) + 1
        return f"{made[:colon]} {{}}{made[colon:]}"

    def _in_flow(self, at: int, name: str, value: Mapping[str, Any]) -> str:
        margin = " " * self._column_at(at)
        entry = f"{json.dumps(name)}: {json.dumps(value)}, {MARK}{self._newline}{margin}"
        return self._insert(at, entry)

    def _without_in_flow(self, pair: Pair) -> str:
        begin, end = self._begin(pair.key), self._end(pair.value)
        ours = f", {MARK}{self._newline}{' ' * self._column(pair.key)}"
        if self.text.startswith(ours, end):
            return self._cut(begin, end + len(ours))
        comma = re.compile(r"\s*,[ \t]?").match(self.text, end)
        if comma:
            return self._cut(begin, comma.end())
        before = re.search(r"\s*,\s*$", self.text[:begin])
        return self._cut(before.start() if before else begin, end)

    def _block(self, name: str, value: Mapping[str, Any], indent: int) -> str:
        lines = yaml.safe_dump(
            {name: dict(value)}, sort_keys=False, allow_unicode=True, width=1_000_000
        ).splitlines()
        lines[0] += f"  {MARK}"
        return self._newline.join(f"{' ' * indent}{line}" for line in lines)

    def _indent(self) -> int:
        """Return the column of the entries of a mapping in block style."""
        assert self._holder is not None
        first = next(self._pairs(self._holder.value), None)
        return self._column(first.key) if first else self._column(self._holder.key) + 2

    def _checked(self, made: str, name: str, *, there: bool) -> "Text":
        """Return the new text.

        :raises SpliceError: more than the entry differs.
        """
        try:
            after = Text(made, self._field)
        except (yaml.YAMLError, SpliceError) as error:
            raise SpliceError(f"{self._field!r} cannot be changed as text") from error
        if (name in after.names()) is not there or self._rest(name) != after._rest(name):
            raise SpliceError(f"{self._field!r} cannot be changed as text")
        return after

    def _rest(self, name: str) -> list[tuple[Any, ...]]:
        """Return the content of all events, without the entry or a mapping with only this entry."""
        pair = self._entry(name)
        begin, end = (pair.key[0], pair.value[1]) if pair else (0, 0)
        if self._holder and not set(self.names()) - {name}:
            begin, end = self._holder.key[0], self._holder.value[1]
        shape = [_shape(event) for event in (*self._events[:begin], *self._events[end:])]
        return [] if [kind for kind, *_ in shape] in _EMPTY else shape

    # Events ---------------------------------------------------------------------------------

    def _span(self, first: int) -> Span:
        depth, index = 0, first
        while True:
            event = self._events[index]
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            index += 1
            if not depth:
                return first, index

    def _pairs(self, node: Span | None) -> Iterator[Pair]:
        if node is None or not self._is_mapping(node):
            return
        index = node[0] + 1
        while index < node[1] - 1:
            key = self._span(index)
            value = self._span(key[1])
            event = self._events[key[0]]
            yield Pair(event.value if isinstance(event, yaml.ScalarEvent) else "", key, value)
            index = value[1]

    def _only(self, node: Span | None, name: str) -> Pair | None:
        found = [pair for pair in self._pairs(node) if pair.name == name]
        if len(found) > 1:
            raise SpliceError(f"{name!r} occurs more than once")
        return found[0] if found else None

    def _entry(self, name: str) -> Pair | None:
        return self._only(self._holder.value, name) if self._holder else None

    def _require_mapping(self, node: Span | None) -> None:
        if node and not self._is_null(node) and not self._is_mapping(node):
            raise SpliceError(f"not a mapping that contains a mapping {self._field!r}")

    def _is_mapping(self, node: Span) -> bool:
        return isinstance(self._events[node[0]], yaml.MappingStartEvent)

    def _is_flow(self, node: Span) -> bool:
        return self._is_mapping(node) and bool(self._events[node[0]].flow_style)

    def _is_null(self, node: Span) -> bool:
        event = self._events[node[0]]
        return isinstance(event, yaml.ScalarEvent) and event.style is None and not event.value

    # Positions in the text ---------------------------------------------------------------------

    def _begin(self, node: Span) -> int:
        return int(self._events[node[0]].start_mark.index)

    def _end(self, node: Span) -> int:
        """Return the index of a node's end: for a block, behind its last value."""
        content = [each for each in self._events[slice(*node)] if not _is_end_of_block(each)]
        return int(content[-1].end_mark.index)

    def _after(self, pair: Pair) -> int:
        """Return the index of the line after an entry."""
        end = self._end(pair.value)
        if end == self._line_begin(end):  # the end of a block scalar
            return end
        found = _BREAK.search(self.text, end)
        return found.end() if found else len(self.text)

    def _line_begin(self, index: int) -> int:
        ends = [found.end() for found in _BREAK.finditer(self.text, 0, index)]
        begin = ends[-1] if ends else 0
        return begin + (begin == 0 and self.text.startswith(_BOM))

    def _line_end(self, index: int) -> int:
        found = _BREAK.search(self.text, index)
        return found.start() if found else len(self.text)

    def _column(self, node: Span) -> int:
        return self._column_at(self._begin(node))

    def _column_at(self, index: int) -> int:
        return index - self._line_begin(index)

    def _has_mark(self, pair: Pair) -> bool:
        begin = self._begin(pair.key)
        return self.text[begin : self._line_end(begin)].endswith(MARK)

    @property
    def _newline(self) -> str:
        found = _BREAK.search(self.text)
        return found.group() if found and found.group() in {"\r\n", "\n"} else "\n"

    def _insert(self, index: int, text: str) -> str:
        return self.text[:index] + text + self.text[index:]

    def _cut(self, begin: int, end: int) -> str:
        return self.text[:begin] + self.text[end:]


def _shape(event: Any) -> tuple[Any, ...]:
    """Return the content of an event, without its position."""
    content = {key: value for key, value in vars(event).items() if not key.endswith("_mark")}
    return (type(event).__name__, *sorted(content.items(), key=lambda item: item[0]))


def _is_end_of_block(event: Any) -> bool:
    empty = bool(event.start_mark.index == event.end_mark.index)
    return isinstance(event, yaml.CollectionEndEvent) and empty
