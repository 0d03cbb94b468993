# SPDX-License-Identifier: Apache-2.0
"""How JUnit reports spell test ids, and back to the ids that were asked."""

from collections.abc import Iterable
from pathlib import PurePosixPath


def by_spelling(asked: Iterable[str]) -> dict[str, str]:
    """The asked ids by the way in which a report spells them.

    Two ids that are spelt alike are both left out, so that both go missing rather than that one
    speaks for the other.
    """
    found: dict[str, str] = {}
    alike = set()
    for test_id in asked:
        spelt = address(test_id)
        if found.setdefault(spelt, test_id) != test_id:
            alike.add(spelt)
    return {spelt: test_id for spelt, test_id in found.items() if spelt not in alike}


def collectors(asked: Iterable[str]) -> dict[str, str]:
    """What pytest collects asked ids from, by the way in which a report spells it.

    Classes (``a/test_b.py::C``), files (``a/test_b.py``) and folders (``a/``).
    """
    found: dict[str, str] = {}
    for file, *names in dict.fromkeys(
        tuple(test_id.partition("[")[0].split("::")[:-1]) for test_id in asked if "::" in test_id
    ):
        for depth in range(len(names) + 1):
            found[_spelt(file, names[:depth])] = "::".join([file, *names[:depth]])
        for folder in PurePosixPath(file).parents[:-1]:
            found.setdefault(_spelt(str(folder), []), f"{folder}/")
    return found


def address(test_id: str) -> str:
    """Spell an asked id as a report does, "classname.name".

    pytest: ``a/test_b.py::C::test_m[p]`` is ``a.test_b.C.test_m[p]``; Kyua: ``a/b_test:case`` is
    ``a.b_test.case``; any other id, such as stestr's, is spelt as it is.
    """
    path, bracket, parameters = test_id.partition("[")
    if "::" in path:
        file, *names = path.split("::")
        return _spelt(file, names) + bracket + parameters
    program, colon, case = test_id.rpartition(":")
    if colon and program and not set(program) & set(" :[("):
        return f"{program.replace('/', '.')}.{case}"
    return test_id


def _spelt(file: str, names: Iterable[str]) -> str:
    return ".".join([file.removesuffix(".py").replace("/", "."), *names])
