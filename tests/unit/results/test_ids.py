# SPDX-License-Identifier: Apache-2.0
import pytest

from bsdgate.results.ids import Made, Synthetic, bare, scopes, synthetic


@pytest.mark.parametrize(
    ("test_id", "made"),
    [
        ("setUpClass (a.b.C)", Made(Synthetic.SET_UP, "a.b.C")),
        ("tearDownClass (a.b.C)", Made(Synthetic.TEAR_DOWN, "a.b.C")),
        ("setUpModule (a.b)", Made(Synthetic.SET_UP, "a.b")),
        ("tearDownModule (a.b)", Made(Synthetic.TEAR_DOWN, "a.b")),
        ("unittest.loader._FailedTest.a.b", Made(Synthetic.IMPORT, "a.b")),
        ("process-returncode", Made(Synthetic.WORKER)),
        ("subunit.parser", Made(Synthetic.STREAM)),
        ("a.b.C.test_setUpClass", None),
        ("a.b.C.test_one[id-1,smoke]", None),
    ],
)
def test_synthetic_ids_are_taken_apart(test_id, made):
    assert synthetic(test_id) == made


def test_scopes_leave_the_suffix_out():
    test_id = "a.b.C.test_one[id-4d1d.6b,smoke]"
    assert bare(test_id) == "a.b.C.test_one"
    assert scopes(test_id) == ["a.b.C", "a.b", "a"]


def test_scenarios_and_parameters_are_left_out_too():
    assert bare("a.C.test_one(with x.y)") == "a.C.test_one"
