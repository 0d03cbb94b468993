# SPDX-License-Identifier: Apache-2.0
import pytest

from bsdgate.results.parsers.junit_ids import (
    containers_by_report_name,
    ids_by_report_name,
    report_name,
)


@pytest.mark.parametrize(
    ("test_id", "name"),
    [
        ("checks/test_host.py::test_one", "checks.test_host.test_one"),
        ("a/b/test_c.py::TestD::test_e[x/y::z.py]", "a.b.test_c.TestD.test_e[x/y::z.py]"),
        ("sys/kern/foo_test:main", "sys.kern.foo_test.main"),
        ("a.b.C.test_d[id-1,smoke]", "a.b.C.test_d[id-1,smoke]"),
        ("a.b.C.test_d(e:f)", "a.b.C.test_d(e:f)"),
        ("setUpClass (a.b.C)", "setUpClass (a.b.C)"),
        (":", ":"),
        ("", ""),
    ],
)
def test_ids_are_converted_to_names_of_reports(test_id: str, name: str) -> None:
    assert report_name(test_id) == name


def test_ids_with_the_same_name_are_left_out() -> None:
    assert ids_by_report_name(["a/b.py::c", "a/d:e", "a/b:c"]) == {"a.d.e": "a/d:e"}


def test_an_id_that_was_asked_twice_is_still_found() -> None:
    assert ids_by_report_name(["a/d:e", "a/d:e"]) == {"a.d.e": "a/d:e"}


def test_classes_files_and_directories_are_found_by_their_names_in_a_report() -> None:
    several = ["a/b/test_c.py::C::D::test_e[x::y]", "a/b/test_c.py::test_f"]
    asked = [*several, "test_g.py::test_h", "a/k:t"]
    assert containers_by_report_name(asked) == {
        "a": "a/",
        "a.b": "a/b/",
        "a.b.test_c": "a/b/test_c.py",
        "a.b.test_c.C": "a/b/test_c.py::C",
        "a.b.test_c.C.D": "a/b/test_c.py::C::D",
        "test_g": "test_g.py",
    }


def test_a_file_comes_before_a_directory_of_the_same_name() -> None:
    assert containers_by_report_name(["a/b/c.py::d", "a/b.py::e"])["a.b"] == "a/b.py"
