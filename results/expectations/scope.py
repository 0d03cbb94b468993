# SPDX-License-Identifier: Apache-2.0
"""The scope of an entry: conditions on the facts of a run (its FreeBSD version, profile, ...).

A value is a glob (``15.*``), bounds (``>=15.0 <16``), a commit, or bounds on the version of a
FreeBSD port (``py311-nova<31.0.0_2``).
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from packaging.version import Version
from pydantic import AfterValidator, BeforeValidator, ConfigDict, ValidationInfo

from bsdgate.results.model import Run

# A version of FreeBSD with its branch (15.1-STABLE), or of a port with revision and epoch.
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
# For an architecture, its name on Linux and its name on FreeBSD.
_ALSO_CALLED: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_ARCHITECTURES: Final = (
    *("amd64", "arm64", "i386", "arm", "armv7", "powerpc", "powerpc64", "powerpc64le", "riscv"),
    *("riscv64", *_ALSO_CALLED),
)
_TEXTS_EXPECTED: Final = "a text, or a list of texts, was expected"
# The keys for which bounds are allowed, and the form of a value without bounds. A version has at
# least two numbers: not "15".
_FORMS: Final = {
    "freebsd": re.compile(r"(?:[\d*?]+\.[\d*?]+|[\d?]*\*[\d*?]*)(?:-[\w.*?-]+)?"),
    "branch": re.compile(r"[\d*?]+\.[\d*?]+|[\d?]*\*[\d*?]*"),
    "ports": re.compile(r"[0-9a-f]{7,40}|[0-9a-f?]*\*[0-9a-f*?]*"),
}
_ALLOWED: Final = {
    "freebsd": "must be like 15.1, 15.* or '>=15.0 <16', or a list: [15.1, 15.2]",
    "architecture": f"must be one of {', '.join(_ARCHITECTURES)}, or a list of these",
    "profile": "must be the name of a profile, or a list of names",
    "branch": "must be like 2026.2, 2026.* or '>=2026.1', or a list of these",
    "ports": "must be a commit (7 to 40 hex digits in lower case) or a bound on the version of a"
    " FreeBSD port, such as py311-nova<31.0.0_2",
}


def facts(run: Run) -> dict[str, str]:
    """Return the values that scopes are compared with: facts of a run, its profile and release."""
    found = dict(run.facts) | {"profile": run.profile, "branch": run.release}
    return {key: value for key, value in found.items() if value}


def find_problem(key: str, value: str) -> str | None:
    """Return the problem of a value under ``key`` of a scope; None if the value is valid."""
    if not value:
        return _TEXTS_EXPECTED
    if not set(value) & set("<=>!"):
        return None if _has_form(key, value) else f"fits no run; {_ALLOWED[key]}"
    if key not in _FORMS:
        return f"only {', '.join(_FORMS)} can have bounds; {_ALLOWED[key]}"
    match = _BOUNDS.fullmatch(value)
    if match is None:
        return f"not a bound such as {'nova<31.0.0_2' if key == 'ports' else '>=15'}"
    if bool(match["port"]) != (key == "ports"):
        return "bounds under ports begin with the name of a FreeBSD port, other bounds do not"
    return None


def _has_form(key: str, value: str) -> bool:
    """Whether a value without bounds has a form that the fact of some run can match."""
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
    """The runs to which an entry applies.

    All keys must fit the run. A key with a list of values fits if one of the values fits. A key
    for which the run has no value does not fit.
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
    """The commit of the FreeBSD ports tree (7 to 40 hex digits, such as ``3f2a1b0``), or bounds on
    the version of a FreeBSD port, compared as pkg does: ``"py311-nova<31.0.0_2"``."""

    def pairs(self) -> list[tuple[str, str]]:
        """Return the pairs of a key and one of its values, sorted by key."""
        return [(key, value) for key, values in sorted(vars(self).items()) for value in values]

    def fits(self, facts: Mapping[str, str]) -> dict[str, bool | None]:
        """Return whether each key fits the facts of a run; None if the run has no such fact."""
        by_key: dict[str, bool | None] = {}
        for key, value in self.pairs():
            bounds = _BOUNDS.fullmatch(value)
            # The version of a port is a fact under the port's name: ports.py311-nova.
            fact = facts.get(f"{key}.{bounds['port']}" if bounds and bounds["port"] else key)
            by_key[key] = by_key.get(key) or (None if fact is None else _fits(value, fact))
        return by_key


def _fits(value: str, fact: str) -> bool:
    if _BOUNDS.fullmatch(value):
        return all(_compare(fact, *bound) for bound in _BOUND.findall(value))
    if _COMMIT.fullmatch(value) and fact.startswith(value):
        return True
    value, fact = _ALSO_CALLED.get(value, value), _ALSO_CALLED.get(fact, fact)
    # 15.1 also fits 15.1-RELEASE-p2.
    return any(map(glob(value).fullmatch, (fact, fact.partition("-")[0])))


def glob(text: str) -> re.Pattern[str]:
    """Compile a glob, in which only ``*`` and ``?`` are special."""
    # Not with fnmatch: it treats brackets, which test ids contain, as special.
    pieces = ({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in re.split(r"([*?])", text))
    return re.compile("".join(pieces), re.DOTALL)


def _compare(fact: str, sign: str, bound: str) -> bool:
    left, right = _version(fact), _version(bound)
    return left is not None and right is not None and _SIGNS[sign](left, right)


def _version(text: str) -> Version | None:
    """Return a version that sorts as pkg sorts: by epoch, version, revision; None if invalid."""
    match = _NUMBER.match(text)
    return Version(f"{match[3] or 0}!{match[1]}.post{match[2] or 0}") if match else None
