# SPDX-License-Identifier: Apache-2.0
"""Splits test ids into parts; recognizes synthetic ids (not of tests): ``setUpClass (C)``.

Within a run whole ids are compared. Between releases tests are renamed, moved and get other
attributes, so there they are compared by ``key``. Tempest's idempotent id alone is not a key:
of the 3,240 ids that Tempest 47 and the plugins of Neutron and Ironic list, 504 share their
idempotent id with others, for four reasons:

- a class inherits the test, once for each variant (``RoutersTest``, ``RoutersIpV6Test``);
- the test is generated for each parameter (``test_east_west_1`` to ``_4``, ``test_x(IPv6)``);
- Neutron's plugin began as a copy of Tempest's tests, so the class may be the same too;
- the decorator was copied with the test, so that only the method's name differs.

So the key has the project, the class, the idempotent id and the parameters. Only ids that are
shared for the last reason still have equal keys (four of the ids above): ``renamed`` does not pair
them.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import BinaryIO

ID_BOUND = 4096
"""The maximum length of a test id, in characters."""

IDS_BOUND = 100_000
"""The maximum number of ids in a list of requested tests."""


class Synthetic(StrEnum):
    """The meaning of a synthetic id, which is never a test."""

    SET_UP = "set up"
    TEAR_DOWN = "tear down"
    IMPORT = "import"
    COLLECTION = "collection"
    WORKER = "worker"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Made:
    """The parts of a synthetic id; ``scope`` is the class or module to which it belongs, or empty.

    The scope of a COLLECTION is a container from which pytest collects tests:
    ``a/test_b.py::C``, ``a/test_b.py``, or a folder with ``/`` at its end.
    """

    kind: Synthetic
    scope: str = ""

    @property
    def loaded(self) -> bool:
        """Whether the id is about loading the tests of a module or class, not running them."""
        return self.kind in (Synthetic.IMPORT, Synthetic.COLLECTION)

    @property
    def prefix(self) -> str:
        """The common prefix of the ids of all tests in the scope."""
        if self.kind is Synthetic.COLLECTION:
            return self.scope if self.scope.endswith("/") else f"{self.scope}::"
        return f"{self.scope}."


# unittest.suite: one _ErrorHolder for all tests of the class or module.
_FIXTURE = re.compile(r"(setUp|tearDown)(?:Class|Module) \(([^()]+)\)")
# unittest.loader: the stand-ins for a module that cannot be imported, or raises SkipTest then.
_IMPORT = re.compile(r"unittest\.loader\.(?:_FailedTest|ModuleSkipped)\.(.*)", re.DOTALL)
# pytest's reports have no id for a failed collection; bsdgate makes this id.
_COLLECTION = re.compile(r"collection \((.+)\)", re.DOTALL)
# stestr.output.ReturnCodeToSubunit: a worker process that ended with a non-zero status.
_WORKER = "process-returncode"
# subunit.v2 inside stestr: the output of a worker could not be decoded.
_STREAM = "subunit.parser"


# testtools.testcase.WithAttributes puts the attributes, sorted, behind the method.
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_ATTRIBUTES = re.compile(rf"\[(?:[^\[\]]*,)?id-({_UUID})(?:,[^\[\]]*)?\]")
# testscenarios: in brackets, behind the method or the attributes. ddt: a number, and its value.
_SCENARIO = re.compile(r"\([^()]*\)")
_NUMBERED = re.compile(r"_\d++(?:_\w++)?\Z")


def read_ids(file: BinaryIO) -> tuple[str, ...]:
    """Read a list of requested tests, one id per line; raise ValueError if it is invalid."""
    ids = []
    for number, line in enumerate(iter(partial(file.readline, ID_BOUND), b""), 1):
        if len(line) == ID_BOUND:
            fault = f"a test id of {ID_BOUND} characters or more"
            raise ValueError(f"line {number}: {fault}: {line[:80]!r}")
        try:
            test_id = line.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise ValueError(f"line {number}: not UTF-8: {line[:80]!r}") from None
        if test_id:
            ids.append(test_id)
        if len(ids) > IDS_BOUND:
            raise ValueError(f"more than {IDS_BOUND} ids")
    return tuple(ids)


def collection(scope: str) -> str:
    """Return the synthetic id for ``scope``, which pytest could not collect, or skipped."""
    return f"collection ({scope})"


def synthetic(test_id: str) -> Made | None:
    """Split a synthetic id into its parts; return None if it can be the id of a test."""
    if match := _FIXTURE.fullmatch(test_id):
        kind = Synthetic.SET_UP if match[1] == "setUp" else Synthetic.TEAR_DOWN
        return Made(kind, match[2])
    if match := _IMPORT.fullmatch(test_id):
        return Made(Synthetic.IMPORT, match[1])
    if match := _COLLECTION.fullmatch(test_id):
        return Made(Synthetic.COLLECTION, match[1])
    if _WORKER in test_id:
        return Made(Synthetic.WORKER)
    if test_id == _STREAM:
        return Made(Synthetic.STREAM)
    return None


def bare(test_id: str) -> str:
    """Return ``test_id`` up to the method: without ``[id-...,smoke]``, parameters, scenario."""
    return re.split(r"[\[(]", test_id, maxsplit=1)[0]


def without_attributes(test_id: str) -> str:
    """Return ``test_id`` without Tempest's ``[compute,id-<uuid>,smoke]``, with its scenario."""
    return _ATTRIBUTES.sub("", test_id, count=1)


def scopes(test_id: str) -> list[str]:
    """Return the dotted names that contain ``test_id``: its class, its module and all packages."""
    parts = bare(test_id).split(".")
    return [".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)]


def idempotent(test_id: str) -> str | None:
    """Return the UUID of ``[id-<uuid>,...]``, in lower case; None if the test has none."""
    match = _ATTRIBUTES.search(test_id)
    return match[1].lower() if match else None


def key(test_id: str) -> str:
    """Return the part of ``test_id`` that stays the same from release to release.

    The key is ``project:uuid:Class`` with the parameters, so that a test may be renamed or moved to
    another module. Without an idempotent id, the key is the bare id with its scenario.
    """
    name = bare(test_id)
    scenario = "".join(_SCENARIO.findall(test_id))
    uuid = idempotent(test_id)
    if uuid is None:
        return name + scenario
    *path, method = name.split(".")
    number = _NUMBERED.search(method)
    owner = f"{path[0]}:{uuid}:{path[-1]}" if path else f":{uuid}:"
    return owner + (number[0] if number else "") + scenario


def renamed(before: Iterable[str], after: Iterable[str]) -> dict[str, str]:
    """Return pairs of ids of the same test in two releases, if that is certain.

    An id in both ``before`` and ``after`` is paired with itself. Other ids are paired if they have
    the same key and no other id in ``before`` or ``after`` has that key. An id without a pair was
    removed or added.
    """
    ours, theirs = frozenset(before), frozenset(after)
    pairs = {test_id: test_id for test_id in ours & theirs}
    old, new = _by_key(ours - theirs), _by_key(theirs - ours)
    for each in old.keys() & new.keys():
        if len(old[each]) == len(new[each]) == 1:
            pairs[old[each][0]] = new[each][0]
    return pairs


def _by_key(test_ids: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for test_id in test_ids:
        found[key(test_id)].append(test_id)
    return found
