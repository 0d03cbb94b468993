# SPDX-License-Identifier: Apache-2.0
"""The scope of an entry: the facts that a run must have.

A value is a glob (``15.*``), bounds (``>=15.0 <16``), a commit, or bounds of a port's version
(``py311-nova<31.0.0_2``).
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, ConfigDict

from bsdgate.results.model import Run

# A version with FreeBSD's branch behind it, or a port's with its revision and epoch.
_NUMBER: Final = re.compile(r"(\d+(?:\.\d+)*)[^_,]*(?:_(\d+))?(?:,(\d+))?")
_BOUND: Final = re.compile(r"(<=|>=|==|!=|<|>)\s*(\d[\w.]*(?:,\d+)?)")
_BOUNDS: Final = re.compile(rf"(?P<port>[A-Za-z0-9][\w.+-]*)?(?:[\s,]*{_BOUND.pattern})+\s*")
_COMMIT: Final = re.compile(r"[0-9a-f]{7,40}")
_SIGNS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}
# The names of one architecture on Linux and FreeBSD.
_ALSO_CALLED: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_ARCHITECTURES: Final = (
    *("amd64", "arm64", "i386", "arm", "armv7", "powerpc", "powerpc64", "powerpc64le", "riscv"),
    *("riscv64", *_ALSO_CALLED),
)
_COMPARED: Final = ("freebsd", "branch", "ports")
# The forms of a value without bounds. A version has at least two numbers: 15 fits none.
_FORMS: Final = {
    "freebsd": re.compile(r"(?:[\d*?]+\.[\d*?]+|[\d?]*\*[\d*?]*)(?:-[\w.*?-]+)?"),
    "branch": re.compile(r"[\d*?]+\.[\d*?]+|[\d?]*\*[\d*?]*"),
    "ports": re.compile(r"[0-9a-f]{7,40}|[0-9a-f?]*\*[0-9a-f*?]*"),
}
_ALLOWED: Final = {
    "freebsd": "allowed are 15.1, 15.*, '>=15.0 <16', and a list of such: [15.1, 15.2]",
    "architecture": f"allowed are {', '.join(_ARCHITECTURES)}, and a list of them",
    "profile": "allowed are a profile's name, and a list of names",
    "branch": "allowed are 2026.2, 2026.*, '>=2026.1', and a list of such",
    "ports": "allowed are 7 to 40 digits of a commit, and a port's version: py311-nova<31.0.0_2",
}


def facts(run: Run) -> dict[str, str]:
    """Return what scopes are compared with: the facts of a run, its profile and its release."""
    found = dict(run.facts) | {"profile": run.profile, "branch": run.release}
    return {key: value for key, value in found.items() if value}


def find_problem(key: str, value: str) -> str | None:
    """Return what is wrong with a value of a scope's key; None if nothing is."""
    if not value:
        return "a text, or a list of texts, was expected"
    if not set(value) & set("<=>!"):
        return None if _has_form(key, value) else f"fits no run; {_ALLOWED[key]}"
    if key not in _COMPARED:
        return f"only {', '.join(_COMPARED)} are compared; {_ALLOWED[key]}"
    match = _BOUNDS.fullmatch(value)
    if match is None:
        return f"no comparison such as {'nova<31.0.0_2' if key == 'ports' else '>=15'}"
    if bool(match["port"]) != (key == "ports"):
        return "a comparison under ports begins with the name of a port, and no other one does"
    return None


def _has_form(key: str, value: str) -> bool:
    """Whether a run may have a fact that fits a value without bounds."""
    if key == "architecture":
        return any(map(glob(value).fullmatch, _ARCHITECTURES))
    form = _FORMS.get(key)
    return form is None or form.fullmatch(value) is not None


def _all_checked(key: str, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if (problem := find_problem(key, value)) is not None:
            raise ValueError(f"{value!r}: {problem}" if len(values) > 1 else problem)
    return values


def _as_list(value: Any) -> Any:
    if isinstance(value, str) and value:
        return [value]
    if not value or not all(isinstance(one, str) for one in value) or isinstance(value, dict):
        raise ValueError("a text, or a list of texts, was expected")
    return value


_Values = Annotated[
    tuple[str, ...], BeforeValidator(_as_list, json_schema_input_type=str | list[str])
]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Where an entry applies.

    All keys must fit the run; of the list of values under one key, one must. A key of which the
    run has no fact never fits.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    freebsd: Annotated[_Values, AfterValidator(partial(_all_checked, "freebsd"))] = ()
    """The version of FreeBSD: ``15.1``, ``15.*``, ``">=15.0"``, ``">=15.0 <16"``."""
    architecture: Annotated[_Values, AfterValidator(partial(_all_checked, "architecture"))] = ()
    """The architecture of the nodes, such as ``arm64``; ``aarch64`` means the same."""
    profile: Annotated[_Values, AfterValidator(partial(_all_checked, "profile"))] = ()
    """The name of the cluster's profile, such as ``embedded``."""
    branch: Annotated[_Values, AfterValidator(partial(_all_checked, "branch"))] = ()
    """The release of OpenStack: ``2026.2``, ``2026.*``, ``">=2026.1"``."""
    ports: Annotated[_Values, AfterValidator(partial(_all_checked, "ports"))] = ()
    """The commit of the ports tree (7 to 40 digits, such as ``3f2a1b0``), or a port's version,
    revision and epoch, compared as pkg does: ``"py311-nova<31.0.0_2"``."""

    def pairs(self) -> list[tuple[str, str]]:
        """Return each value with its key, in the order of the keys."""
        keys = sorted(field.name for field in fields(self))
        return [(key, value) for key in keys for value in getattr(self, key)]


def fact_name(key: str, value: str) -> str:
    """Return the fact that a value is compared with: each port's version is a fact of its own."""
    match = _BOUNDS.fullmatch(value)
    return f"{key}.{match['port']}" if match and match["port"] else key


def fits(value: str, fact: str) -> bool:
    """Whether a fact of a run fits the value of a scope."""
    if _BOUNDS.fullmatch(value):
        return all(_compare(fact, *bound) for bound in _BOUND.findall(value))
    if _COMMIT.fullmatch(value) and fact.startswith(value):
        return True
    value, fact = _ALSO_CALLED.get(value, value), _ALSO_CALLED.get(fact, fact)
    # 15.1 is 15.1-RELEASE-p2 too.
    return any(glob(value).fullmatch(form) for form in (fact, fact.partition("-")[0]))


def glob(text: str) -> re.Pattern[str]:
    """Compile a glob of ``*`` and ``?``, in which everything else means itself."""
    # Not fnmatch: test ids have brackets.
    pieces = ({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in re.split(r"([*?])", text))
    return re.compile("".join(pieces), re.DOTALL)


def _compare(fact: str, sign: str, bound: str) -> bool:
    left, right = _number(fact), _number(bound)
    return left is not None and right is not None and _SIGNS[sign](left, right)


def _number(version: str) -> tuple[int, tuple[int, ...], int] | None:
    """Epoch, version and revision, in the order in which ports compare them."""
    match = _NUMBER.match(version)
    if match is None:
        return None
    parts = [int(part) for part in match[1].split(".")]
    while parts and not parts[-1]:
        parts.pop()
    return int(match[3] or 0), tuple(parts), int(match[2] or 0)
