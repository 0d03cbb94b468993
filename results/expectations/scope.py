# SPDX-License-Identifier: Apache-2.0
"""The scope of an entry: the facts that a run must have.

A value is a glob (``15.*``), bounds (``>=15.0 <16``), a commit, or bounds of a port's version
(``py311-nova<31.0.0_2``).
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from packaging.version import Version
from pydantic import AfterValidator, BeforeValidator, ConfigDict, ValidationInfo

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
_TEXTS_EXPECTED: Final = "a text, or a list of texts, was expected"
# The keys that are compared, and the forms of a value without bounds. A version has at least two
# numbers: 15 fits none.
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
        return _TEXTS_EXPECTED
    if not set(value) & set("<=>!"):
        return None if _has_form(key, value) else f"fits no run; {_ALLOWED[key]}"
    if key not in _FORMS:
        return f"only {', '.join(_FORMS)} are compared; {_ALLOWED[key]}"
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
    return key not in _FORMS or _FORMS[key].fullmatch(value) is not None


def _checked(values: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    for value in values:
        if (problem := find_problem(str(info.field_name), value)) is not None:
            raise ValueError(f"{value!r}: {problem}" if len(values) > 1 else problem)
    return values


def _as_list(value: Any) -> Any:
    if isinstance(value, str) and value:
        return [value]
    if not value or not all(isinstance(one, str) for one in value) or isinstance(value, dict):
        raise ValueError(_TEXTS_EXPECTED)
    return value


_Values = Annotated[
    tuple[str, ...],
    BeforeValidator(_as_list, json_schema_input_type=str | list[str]),
    AfterValidator(_checked),
]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Where an entry applies.

    All keys must fit the run; of the list of values under one key, one must. A key of which the
    run has no fact never fits.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    freebsd: _Values = ()
    """The version of FreeBSD: ``15.1``, ``15.*``, ``">=15.0"``, ``">=15.0 <16"``."""
    architecture: _Values = ()
    """The architecture of the nodes, such as ``arm64``; ``aarch64`` means the same."""
    profile: _Values = ()
    """The name of the cluster's profile, such as ``embedded``."""
    branch: _Values = ()
    """The release of OpenStack: ``2026.2``, ``2026.*``, ``">=2026.1"``."""
    ports: _Values = ()
    """The commit of the ports tree (7 to 40 digits, such as ``3f2a1b0``), or a port's version,
    revision and epoch, compared as pkg does: ``"py311-nova<31.0.0_2"``."""

    def pairs(self) -> list[tuple[str, str]]:
        """Return each value with its key, in the order of the keys."""
        return [(key, value) for key, values in sorted(vars(self).items()) for value in values]

    def fits(self, facts: Mapping[str, str]) -> dict[str, bool | None]:
        """Return whether each key fits the facts of a run; None: the run has no such fact."""
        by_key: dict[str, bool | None] = {}
        for key, value in self.pairs():
            bounds = _BOUNDS.fullmatch(value)
            # Each port's version is a fact of its own.
            fact = facts.get(f"{key}.{bounds['port']}" if bounds and bounds["port"] else key)
            by_key[key] = by_key.get(key) or (None if fact is None else _fits(value, fact))
        return by_key


def _fits(value: str, fact: str) -> bool:
    if _BOUNDS.fullmatch(value):
        return all(_compare(fact, *bound) for bound in _BOUND.findall(value))
    if _COMMIT.fullmatch(value) and fact.startswith(value):
        return True
    value, fact = _ALSO_CALLED.get(value, value), _ALSO_CALLED.get(fact, fact)
    # 15.1 is 15.1-RELEASE-p2 too.
    return any(map(glob(value).fullmatch, (fact, fact.partition("-")[0])))


def glob(text: str) -> re.Pattern[str]:
    """Compile a glob of ``*`` and ``?``, in which everything else means itself."""
    # Not fnmatch: test ids have brackets.
    pieces = ({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in re.split(r"([*?])", text))
    return re.compile("".join(pieces), re.DOTALL)


def _compare(fact: str, sign: str, bound: str) -> bool:
    left, right = _version(fact), _version(bound)
    return left is not None and right is not None and _SIGNS[sign](left, right)


def _version(text: str) -> Version | None:
    """Return the epoch, version and revision of a port; ports are compared in that order."""
    match = _NUMBER.match(text)
    return Version(f"{match[3] or 0}!{match[1]}.post{match[2] or 0}") if match else None
