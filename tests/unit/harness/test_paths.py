# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.paths: the paths that OpenStack and its tests can use."""

import os
import pwd
import string
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bsdgate.harness import clouds_yaml, paths
from bsdgate.harness.environments import changes
from bsdgate.harness.errors import UsageError

SETTINGS = {"BSDGATE_STATE_DIR": paths.state, "BSDGATE_CACHE_DIR": paths.cache}
# tests/functional/place.py has all of them in the names of its folders.
WORKS = set(string.ascii_letters + string.digits + " !&'()+,-./;=@^_~")


@pytest.mark.parametrize("setting", SETTINGS)
@given(name=st.text(st.characters(exclude_characters="\0/"), min_size=1, max_size=20))
@example(name="my clone")
@example(name="a\nb")
@example(name="100%")
@example(name="$(id)")
@example(name="`id`")
@example(name="\udcff")
@example(name="a\u2028b")
@example(name="Zoe\u0308 \u0928\u093f")
def test_a_path_is_accepted_or_refused_with_the_character(setting: str, name: str) -> None:
    wrong = [char for char in name if not (char in WORKS or (char > "\x7f" and char.isprintable()))]
    with pytest.MonkeyPatch.context() as patch:
        try:
            patch.setenv(setting, f"/tmp/{name}/bsdgate")
        except UnicodeEncodeError:
            return  # no path has it
        if not wrong:
            assert SETTINGS[setting]() == Path("/tmp", name, "bsdgate")
            return
        with pytest.raises(UsageError) as refused:
            SETTINGS[setting]()
    assert repr(wrong[0]) in refused.value.message
    assert setting in str(refused.value.hint)


@pytest.mark.parametrize("char", sorted(set(map(chr, range(1, 128))) - {"/"}))
def test_each_ascii_character_is_accepted_or_refused(
    char: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BSDGATE_STATE_DIR", f"/tmp/a{char}b")
    if char in WORKS:
        assert paths.state() == Path(f"/tmp/a{char}b")
    else:
        with pytest.raises(UsageError):
            paths.state()


def test_a_name_that_is_not_utf_8_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environb, b"BSDGATE_STATE_DIR", b"/tmp/\xff")
    with pytest.raises(UsageError, match="udcff"):
        paths.state()


@pytest.mark.parametrize("prefix", ["/tmp/a`id`", "/tmp/100%"])
def test_an_installation_in_a_refused_path_is_refused(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.check_installation()
    monkeypatch.setattr(sys, "prefix", prefix)
    with pytest.raises(UsageError, match="another directory") as refused:
        paths.check_installation()
    assert prefix in refused.value.message


# A user without a home ------------------------------------------------------------------------


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove HOME, and the user's entry in the system's list of users."""

    def no_entry(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", no_entry)


@pytest.mark.parametrize(
    ("find", "setting"),
    [
        (paths.state, "BSDGATE_STATE_DIR"),
        (paths.cache, "BSDGATE_CACHE_DIR"),
        (clouds_yaml.path, "OS_CLIENT_CONFIG_FILE"),
    ],
)
def test_a_missing_home_is_an_error_with_the_next_step(
    find: Callable[[], Path], setting: str, homeless: None
) -> None:
    with pytest.raises(UsageError, match="HOME is not set") as refused:
        find()
    assert refused.value.hint == f"set HOME, or {setting}"


def test_a_user_without_a_home_can_set_the_directories(
    homeless: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for setting, find in SETTINGS.items():
        monkeypatch.setenv(setting, str(tmp_path))
        assert find() == tmp_path


@pytest.mark.parametrize("source", ["~/keystone", "~nobody-of-that-name/keystone"])
def test_a_change_in_a_missing_home_is_refused(source: str, homeless: None) -> None:
    with pytest.raises(UsageError, match="write the whole path"):
        changes.parse(f"keystone={source}", "2026.2")
