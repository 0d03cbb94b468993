# SPDX-License-Identifier: Apache-2.0
"""Renders the reference pages of file formats from the types that model them.

``python doc/reference_pages.py`` writes the pages to ``doc/source/reference``. They are committed,
because bsdgate's dependencies are not installed where the documentation is built; a unit test
checks that they are up to date.

A type is a pydantic model or a dataclass. Its docstring is the text of its section. The description
of a field is the docstring below it or ``Annotated[..., Field(description=...)]``.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from bsdgate.harness import identity, manifest
from bsdgate.harness.profiles import matrix
from bsdgate.harness.profiles import model as profiles
from bsdgate.harness.run_dir import LAYOUT
from bsdgate.harness.suites import model as suites
from bsdgate.results import attempts, document, model
from bsdgate.results.codes import Code
from bsdgate.results.expectations.entries import Entry
from bsdgate.results.expectations.scope import Scope
from bsdgate.results.problems import Problem

COMMAND = "python doc/reference_pages.py"
FOLDER = Path(__file__).parent / "source" / "reference"

Schema = Mapping[str, Any]

_VERDICT_TYPES = (
    *(model.Verdict, model.Run, model.Source, model.Feature, model.Reason, model.Case),
    *(model.Disposition, model.KnownFailure, model.Summary),
)
_VERDICT_HEAD = f"""\
``report/verdict.json`` in a run directory is one JSON object: the fields of Verdict_ and two more.
``schema`` is the version of the document ({document.SCHEMA}; bsdgate reads version 3 as well).
``counts`` has the number of ``asked`` tests and of tests with each outcome; bsdgate does not trust
these numbers and counts the cases. The outcomes are {", ".join(model.Outcome)}.
Fields without a value are absent. Times are ISO 8601 in UTC.
"""

_VERSIONS_HEAD = f"""\
The versions that bsdgate is meant for are in ``harness/releases/matrix.yaml``;
:doc:`/user/freebsd` has the tests that were made on them. The day on which a run began decides, so
a later verdict on the same run is the same:

- After the end of life of the node's version of FreeBSD, or of the profile's OpenStack release, the
  run is an ERROR (``end-of-life``) under the policies ``check`` and ``gate``. Under ``developer``
  and ``nightly`` this is a note.
- In the {matrix.NOTICE.days} days before that day the verdict has a note (``end-of-life-near``).
- A version that is not listed, or not with this architecture and release, is a note
  (``not-in-matrix``).
"""
_PROFILE_TYPES = (
    *(profiles.Profile, profiles.Local, profiles.Qemu, profiles.Static, profiles.Host),
    *(profiles.Zuul, profiles.Service, profiles.Board, profiles.Feature, profiles.Exclusion),
    profiles.Timeouts,
)
_SUITE_TYPES = (suites.Suite, suites.Inclusion, profiles.Exclusion)
_MATRIX_TYPES = (matrix.Matrix, matrix.FreeBSD, matrix.OpenStack)
_RUN_TYPES = (
    *(manifest.Manifest, manifest.AskedProject, manifest.AskedCloud, identity.Settings),
    *(
        manifest.NodeDocument,
        manifest.ChangedProject,
        manifest.Inspection,
        manifest.ClockDifference,
        manifest.Repository,
        attempts.AttemptDocument,
        attempts.NodeRef,
        Problem,
    ),
)

_FORMATS = {
    "date": "date (``YYYY-MM-DD``)",
    "date-time": "date and time (ISO 8601)",
}
_NAMES = {"string": "text", "boolean": "true or false", "null": "null", "object": "mapping"}
_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "pattern": "matches the regular expression",
}


def pages() -> dict[str, str]:
    """Return the text of each page, by file name."""
    verdict = _after_title(render("verdict.json", _VERDICT_TYPES, "serialization"), _VERDICT_HEAD)
    return {
        "profiles.rst": render("Profiles", _PROFILE_TYPES),
        "suites.rst": render("Suites", _SUITE_TYPES),
        "run-directory.rst": _after_title(render("Run directory", _RUN_TYPES), _layout()),
        "versions.rst": _after_title(render("Versions", _MATRIX_TYPES), _versions()),
        "expectations.rst": render("Files of known failures", [Entry, Scope]),
        "verdict.rst": f"{verdict}\n{values('Codes', Code)}",
    }


def _after_title(page: str, text: str) -> str:
    """Put a text between the title of a page and the first section."""
    lines = page.split("\n")
    end = lines.index("", 2) + 1
    return "\n".join([*lines[:end], text, *lines[end:]])


def render(
    title: str,
    types: Sequence[type[Any]],
    mode: Literal["validation", "serialization"] = "validation",
) -> str:
    """Return a page with a section for each type.

    ``mode`` is validation for files that bsdgate reads, serialization for files that it writes.

    :raises ValueError: a field has no description, or the type of a field has no section.
    """
    sections = {one.__name__ for one in types}
    parts = [f".. Generated by ``{COMMAND}``; do not edit.", "", *_heading(title, "=", above=True)]
    for one in types:
        parts += _section(one, TypeAdapter(one).json_schema(mode=mode), sections)
    return "\n".join(parts)


def _heading(text: str, sign: str, *, above: bool = False) -> list[str]:
    line = sign * len(text)
    return [*([line] if above else []), text, line, ""]


def _section(one: type[Any], schema: Schema, sections: set[str]) -> Iterator[str]:
    defs = schema.get("$defs", {})
    # The schema of a type that contains itself is in $defs.
    own = defs[one.__name__] if "$ref" in schema else schema
    described = _docstrings(one)
    yield from _heading(one.__name__, "=")
    yield from [inspect.getdoc(one) or "", "", ".. list-table::", "   :header-rows: 1"]
    yield from ["   :widths: 14 20 14 52", ""]
    yield from _row(["Field", "Type", "Required", "Meaning"])
    names = _names(one)
    for name, field in own["properties"].items():
        text = field.get("description") or described.get(names.get(name, name))
        if not text:
            raise ValueError(f"{one.__name__}.{name} has no description")
        required = "yes" if name in own.get("required", ()) else _default(field)
        meaning = " ".join([*text.split(), *_allowed(field, defs)])
        yield from _row([f"``{name}``", _type(field, defs, sections), required, meaning])
    yield ""


def _names(one: type[Any]) -> Mapping[str, str]:
    """Return the names of a model's fields in the code, by their names in a file."""
    return {field.alias or name: name for name, field in getattr(one, "model_fields", {}).items()}


def _row(cells: Sequence[str]) -> Iterator[str]:
    for index, cell in enumerate(cells):
        start = "   * - " if index == 0 else "     - "
        yield textwrap.fill(
            cell,
            90,
            initial_indent=start,
            subsequent_indent=" " * 7,
            break_long_words=False,
            break_on_hyphens=False,
        )


def _default(field: Schema) -> str:
    default = field.get("default")
    return "no" if default in (None, "", [], {}) else f"no; ``{default}`` without it"


def _type(field: Schema, defs: Schema, sections: set[str]) -> str:
    """Return the type of a value in words; a link if the page has a section for that type."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        if name in sections:
            return f"`{name}`_"
        if "properties" in defs[name]:
            raise ValueError(f"{name} has no section")
        return _type(defs[name], defs, sections)
    for choice in ("anyOf", "oneOf"):
        if choice in field:
            kinds = [_type(one, defs, sections) for one in field[choice]]
            return " or ".join(dict.fromkeys(kinds))
    kind = field.get("type", "any")
    if kind == "array":
        items = field.get("prefixItems") or [field.get("items", {})]
        return f"list of {', '.join(_type(one, defs, sections) for one in items)}"
    if isinstance(field.get("additionalProperties"), Mapping):
        return f"mapping of text to {_type(field['additionalProperties'], defs, sections)}"
    return _FORMATS.get(str(field.get("format"))) or _NAMES.get(kind) or str(kind)


def _allowed(field: Schema, defs: Schema) -> Iterator[str]:
    """Yield sentences that list the allowed values."""
    if "$ref" in field:
        field = defs[field["$ref"].rpartition("/")[2]]
    values = field.get("enum") or ([field["const"]] if "const" in field else [])
    if values:
        yield f"Allowed: {', '.join(f'``{value}``' for value in values)}."
    limits = [f"{text} ``{field[key]}``" for key, text in _LIMITS.items() if key in field]
    if limits:
        yield f"Allowed: {', '.join(limits)}."
    if field.get("minLength") == 1 or field.get("minItems") == 1:
        yield "Not empty."


def _layout() -> str:
    """Return a section with the files of a run directory."""
    parts = [*_heading("Files", "="), ".. list-table::", "   :header-rows: 1"]
    parts += ["   :widths: 34 66", "", *_row(["File", "Content"])]
    for name, meaning in LAYOUT.items():
        parts += _row([f"``{name}``", meaning])
    return "\n".join([*parts, ""])


def _versions() -> str:
    """Return sections with the versions in the matrix."""
    parts = [_VERSIONS_HEAD, *_heading("Versions of FreeBSD", "=")]
    parts += [".. list-table::", "   :header-rows: 1", "   :widths: 22 22 28 28", ""]
    parts += _row(["Version", "End of life", "Architectures", "OpenStack releases"])
    for each in matrix.load().freebsd:
        shown = f"{each.version} (default)" if each.default else each.version
        tested = (", ".join(each.architectures), ", ".join(each.releases))
        parts += _row(
            [shown, str(each.end_of_life or "none"), *(text or "none" for text in tested)]
        )
    parts += ["", *_heading("Releases of OpenStack", "="), ".. list-table::"]
    parts += ["   :header-rows: 1", "", *_row(["Release", "End of life"])]
    for release in matrix.load().openstack:
        parts += _row([release.release, str(release.end_of_life)])
    return "\n".join([*parts, ""])


def values(title: str, one: type[StrEnum]) -> str:
    """Return a section with the values of an enumeration, each with its docstring."""
    described = _docstrings(one)
    missing = [each.name for each in one if each.name not in described]
    if missing:
        raise ValueError(f"{one.__name__}: {', '.join(missing)} have no description")
    parts = [*_heading(title, "="), inspect.getdoc(one) or "", ""]
    parts += [".. list-table::", "   :header-rows: 1", "   :widths: 24 76", ""]
    parts += [*_row(["Value", "Meaning"])]
    for each in one:
        parts += _row([f"``{each.value}``", described[each.name]])
    return "\n".join([*parts, ""])


def _docstrings(one: type[Any]) -> dict[str, str]:
    """Return the docstrings below the names in the source of a class and its bases, by name."""
    found: dict[str, str] = {}
    for cls in reversed(one.__mro__):
        if cls.__module__.partition(".")[0] not in {"builtins", "enum", "pydantic"}:
            found |= _own_docstrings(cls)
    return found


def _own_docstrings(cls: type[Any]) -> Iterator[tuple[str, str]]:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    for statement, text in zip(tree.body, tree.body[1:], strict=False):
        match statement, text:
            case (
                ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]),
                ast.Expr(value=ast.Constant(value=str(described))),
            ):
                yield name, described


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
