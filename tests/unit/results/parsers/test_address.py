# SPDX-License-Identifier: Apache-2.0
import pytest

from bsdgate.results.parsers.address import address, by_spelling, collectors


@pytest.mark.parametrize(
    ("test_id", "spelt"),
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
def test_ids_are_spelt_as_in_reports(test_id, spelt):
    assert address(test_id) == spelt


def test_ids_that_are_spelt_alike_are_not_taken_for_one_another():
    assert by_spelling(["a/b.py::c", "a/d:e", "a/b:c"]) == {"a.d.e": "a/d:e"}


def test_an_id_that_was_asked_twice_is_still_found():
    assert by_spelling(["a/d:e", "a/d:e"]) == {"a.d.e": "a/d:e"}


def test_what_ids_are_collected_from_is_found_as_a_report_spells_it():
    several = ["a/b/test_c.py::C::D::test_e[x::y]", "a/b/test_c.py::test_f"]
    asked = [*several, "test_g.py::test_h", "a/k:t"]
    assert collectors(asked) == {
        "a": "a/",
        "a.b": "a/b/",
        "a.b.test_c": "a/b/test_c.py",
        "a.b.test_c.C": "a/b/test_c.py::C",
        "a.b.test_c.C.D": "a/b/test_c.py::C::D",
        "test_g": "test_g.py",
    }


def test_a_file_comes_before_a_folder_of_its_name():
    assert collectors(["a/b/c.py::d", "a/b.py::e"])["a.b"] == "a/b.py"
