# SPDX-License-Identifier: Apache-2.0
"""Where an entry applies: what its scope wants of a run, against what the run says of itself.

A want is a glob (``15.*``), bounds (``>=15.0 <16``), a commit, or bounds of a port's revision
(``py311-nova<31.0.0_2``).
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from bsdgate.results.model import Run

KEYS: Final = ("freebsd", "architecture", "profile", "branch", "ports")

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
# Both systems' names for one architecture.
_ALSO_CALLED: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_ARCHITECTURES: Final = (
    *("amd64", "arm64", "i386", "arm", "armv7", "powerpc", "powerpc64", "powerpc64le", "riscv"),
    *("riscv64", *_ALSO_CALLED),
)
_COMPARED: Final = ("freebsd", "branch", "ports")
# What a want may be that is no comparison. A version has at least two numbers: 15 fits none.
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
    """What scopes are compared with: the facts of a run, its profile and its release."""
    found = dict(run.facts) | {"profile": run.profile, "branch": run.release}
    return {key: value for key, value in found.items() if value}


def problem(key: str, want: str) -> str | None:
    """Say what is wrong with a pair of a scope; None if nothing is."""
    if key not in KEYS:
        return f"unknown; allowed are {', '.join(KEYS)}"
    if not set(want) & set("<=>!"):
        return None if _may_fit(key, want) else f"{want!r} fits no run; {_ALLOWED[key]}"
    if key not in _COMPARED:
        return f"{want!r}: only {', '.join(_COMPARED)} are compared; {_ALLOWED[key]}"
    match = _BOUNDS.fullmatch(want)
    if match is None:
        return f"{want!r} is no comparison such as {'nova<31.0.0_2' if key == 'ports' else '>=15'}"
    if bool(match["port"]) != (key == "ports"):
        return f"{want!r}: only ports are compared by name, and always are"
    return None


def _may_fit(key: str, want: str) -> bool:
    """Whether a want without a comparison can be what a run says of that key."""
    if key == "architecture":
        return any(map(glob(want).fullmatch, _ARCHITECTURES))
    form = _FORMS.get(key)
    return form is None or form.fullmatch(want) is not None


def fact(key: str, want: str) -> str:
    """The name of the fact that ``want`` is about: each port's version is a fact of its own."""
    match = _BOUNDS.fullmatch(want)
    return f"{key}.{match['port']}" if match and match["port"] else key


def covers(want: str, said: str) -> bool:
    """Whether ``said``, the value of a fact, is what is wanted."""
    if _BOUNDS.fullmatch(want):
        return all(_compare(said, *bound) for bound in _BOUND.findall(want))
    if _COMMIT.fullmatch(want) and said.startswith(want):
        return True
    want, said = _ALSO_CALLED.get(want, want), _ALSO_CALLED.get(said, said)
    # 15.1 is 15.1-RELEASE-p2 too.
    return any(glob(want).fullmatch(form) for form in (said, said.partition("-")[0]))


def glob(text: str) -> re.Pattern[str]:
    """Compile a glob of ``*`` and ``?``, in which everything else means itself."""
    # Not fnmatch: test ids have brackets.
    pieces = ({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in re.split(r"([*?])", text))
    return re.compile("".join(pieces), re.DOTALL)


def _compare(said: str, sign: str, bound: str) -> bool:
    left, right = _number(said), _number(bound)
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
