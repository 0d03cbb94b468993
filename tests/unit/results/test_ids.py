# SPDX-License-Identifier: Apache-2.0
import pytest

from bsdgate.results.ids import (
    Made,
    Synthetic,
    bare,
    collection,
    idempotent,
    key,
    renamed,
    scopes,
    synthetic,
    without_attributes,
)


@pytest.mark.parametrize(
    ("test_id", "made"),
    [
        ("setUpClass (a.b.C)", Made(Synthetic.SET_UP, "a.b.C")),
        ("tearDownClass (a.b.C)", Made(Synthetic.TEAR_DOWN, "a.b.C")),
        ("setUpModule (a.b)", Made(Synthetic.SET_UP, "a.b")),
        ("tearDownModule (a.b)", Made(Synthetic.TEAR_DOWN, "a.b")),
        ("unittest.loader._FailedTest.a.b", Made(Synthetic.IMPORT, "a.b")),
        ("unittest.loader.ModuleSkipped.a.b", Made(Synthetic.IMPORT, "a.b")),
        (collection("a/b.py::C"), Made(Synthetic.COLLECTION, "a/b.py::C")),
        ("process-returncode", Made(Synthetic.WORKER)),
        ("subunit.parser", Made(Synthetic.STREAM)),
        ("a.b.C.test_setUpClass", None),
        ("a.b.C.test_one[id-1,smoke]", None),
    ],
)
def test_synthetic_ids_are_parsed(test_id: str, made: Made | None) -> None:
    assert synthetic(test_id) == made


def test_scopes_have_no_suffix() -> None:
    test_id = "a.b.C.test_one[id-4d1d.6b,smoke]"
    assert bare(test_id) == "a.b.C.test_one"
    assert scopes(test_id) == ["a.b.C", "a.b", "a"]


def test_a_bare_id_has_no_scenario() -> None:
    assert bare("a.C.test_one(with x.y)") == "a.C.test_one"


UUID = "5de47127-9977-400a-936f-abcfbec1218f"


@pytest.mark.parametrize(
    ("test_id", "uuid"),
    [
        (f"a.C.test_one[id-{UUID}]", UUID),
        (f"a.C.test_one[id-{UUID},smoke]", UUID),
        (f"a.C.test_one[compute,id-{UUID.upper()},network]", UUID),
        (f"a.C.test_one[id-{UUID}](IPv6)", UUID),
        ("a.C.test_one[smoke]", None),
        ("a.C.test_one[id-12,smoke]", None),
        (f"a.C.test_one[xid-{UUID}]", None),
        (f"a.C.test_id-{UUID}", None),
    ],
)
def test_the_idempotent_id_is_read_from_the_attributes(test_id: str, uuid: str | None) -> None:
    assert idempotent(test_id) == uuid


@pytest.mark.parametrize(
    ("test_id", "bare_id"),
    [
        (f"a.C.test_one[compute,id-{UUID},network,smoke]", "a.C.test_one"),
        (f"a.C.test_one[id-{UUID}](IPv6)", "a.C.test_one(IPv6)"),
        (f"a.C.test_one[p-1][id-{UUID}]", "a.C.test_one[p-1]"),
        ("a.C.test_one[id-12,smoke]", "a.C.test_one[id-12,smoke]"),
        ("a/test_b.py::test_c[id-1]", "a/test_b.py::test_c[id-1]"),
    ],
)
def test_only_attributes_of_tempest_are_removed(test_id: str, bare_id: str) -> None:
    assert without_attributes(test_id) == bare_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # Renamed, moved to another module, with other attributes.
        (f"p.api.test_a.C.test_x[id-{UUID}]", f"p.scenario.b.C.test_y[id-{UUID},smoke]"),
        (f"p.a.C.test_x(IPv6)[id-{UUID}]", f"p.a.C.test_y[id-{UUID}](IPv6)"),
        ("p.a.C.test_x[smoke]", "p.a.C.test_x"),
    ],
)
def test_ids_of_one_test_in_two_releases_have_the_same_key(one: str, other: str) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tempest.a.RoutersTest.test_x", "tempest.a.RoutersIpV6Test.test_x"),
        ("tempest.a.RoutersTest.test_x", "neutron_tempest_plugin.a.RoutersTest.test_x"),
        ("p.a.C.test_east_west_1", "p.a.C.test_east_west_2"),
        ("p.a.C.test_x_1_qcow2", "p.a.C.test_x_2_raw"),
        ("p.a.C.test_x(IPv4)", "p.a.C.test_x(IPv6)"),
    ],
)
@pytest.mark.parametrize("attributes", ["", f"[id-{UUID},smoke]"])
def test_variants_that_share_an_idempotent_id_have_their_own_keys(
    one: str, other: str, attributes: str
) -> None:
    assert key(one + attributes) != key(other + attributes)


def test_renamed_tests_are_paired_by_their_idempotent_ids() -> None:
    first, second, third = (f"[id-{number}{UUID[1:]}]" for number in "123")
    before = ["p.a.C.test_same", f"p.a.C.test_old{first}", f"p.a.C.test_gone{second}"]
    after = ["p.a.C.test_same", f"p.b.C.test_new{first}", f"p.a.C.test_young{third}"]
    assert renamed(before, after) == {before[0]: after[0], before[1]: after[1]}


def test_ids_that_share_a_key_are_paired_only_if_unambiguous() -> None:
    before = [f"p.a.C.test_one[id-{UUID}]", f"p.a.C.test_two[id-{UUID}]"]
    after = [f"p.a.C.test_three[id-{UUID}]", f"p.a.C.test_two[id-{UUID}]"]
    assert renamed(before, after) == {before[1]: after[1], before[0]: after[0]}
    assert renamed(before, after[:1]) == {}


@pytest.mark.parametrize("test_id", ["", "a", f"[id-{UUID}]", "(", "a(b", "\0.\x1b[31m"])
def test_any_text_has_a_key(test_id: str) -> None:
    assert isinstance(key(test_id), str)
