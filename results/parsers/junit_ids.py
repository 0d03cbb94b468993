# SPDX-License-Identifier: Apache-2.0
"""Maps the names of tests in JUnit reports to the ids of the requested tests."""

from collections.abc import Iterable
from pathlib import PurePosixPath


def ids_by_report_name(asked: Iterable[str]) -> dict[str, str]:
    """Return the requested ids by their names in a report.

    Two ids with the same name are both left out: both tests are then missing, and neither gets the
    result of the other.
    """
    found: dict[str, str] = {}
    ambiguous = set()
    for test_id in asked:
        name = report_name(test_id)
        if found.setdefault(name, test_id) != test_id:
            ambiguous.add(name)
    return {name: test_id for name, test_id in found.items() if name not in ambiguous}


def containers_by_report_name(asked: Iterable[str]) -> dict[str, str]:
    """Return the containers from which pytest collects the requested ids, by the name in a report.

    These are classes (``a/test_b.py::C``), files (``a/test_b.py``) and folders (``a/``).
    """
    found: dict[str, str] = {}
    for file, *names in dict.fromkeys(
        tuple(test_id.partition("[")[0].split("::")[:-1]) for test_id in asked if "::" in test_id
    ):
        for depth in range(len(names) + 1):
            found[_dotted(file, names[:depth])] = "::".join([file, *names[:depth]])
        for folder in PurePosixPath(file).parents[:-1]:
            found.setdefault(_dotted(str(folder), []), f"{folder}/")
    return found


def report_name(test_id: str) -> str:
    """Return the name of a requested id in a report, "classname.name".

    From pytest, ``a/test_b.py::C::test_m[p]`` becomes ``a.test_b.C.test_m[p]``; from Kyua,
    ``a/b_test:case`` becomes ``a.b_test.case``; any other id, such as stestr's, is not changed.
    """
    path, bracket, parameters = test_id.partition("[")
    if "::" in path:
        file, *names = path.split("::")
        return _dotted(file, names) + bracket + parameters
    program, colon, case = test_id.rpartition(":")
    if colon and program and not set(program) & set(" :[("):
        return f"{program.replace('/', '.')}.{case}"
    return test_id


def _dotted(file: str, names: Iterable[str]) -> str:
    return ".".join([file.removesuffix(".py").replace("/", "."), *names])
