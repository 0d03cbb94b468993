# SPDX-License-Identifier: Apache-2.0
"""With any text as the name of a cloud, no command leaves the directory of clouds."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bsdgate.harness import cli
from bsdgate.harness.cloud.spec import checked_name
from bsdgate.harness.errors import UsageError

COMMANDS = {
    "up": [],
    "down": [],
    "status": [],
    "logs": [],
    "restart": ["nova"],
    "reset": [],
}
NASTY = (
    "",
    ".",
    "..",
    "../runs",
    "../runs/one",
    "../..",
    "runs/..",
    "./x",
    "x/",
    "-f",
    "--",
    "~",
    "$HOME",
    "a b",
    "a\n",
    "\na",
    "a\0b",
    ".hidden",
    "é",
    "x" * 65,
)


@pytest.mark.parametrize("text", NASTY)
def test_a_path_is_not_a_name(text: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a cloud") as caught:
        checked_name(text)
    assert repr(text) in str(caught.value)


@given(st.text())
def test_a_name_is_one_component_of_a_path(text: str) -> None:
    try:
        name = checked_name(text)
    except UsageError:
        return
    path = Path("/clouds") / name
    assert path.resolve().parent == Path("/clouds")
    assert path.name == name == text


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a directory with a user's files, runs, and a cloud with another name."""
    # Deep enough for every example below: a defect must not reach the machine's own files.
    top = tmp_path_factory.mktemp("top") / "1" / "2" / "3" / "4" / "5" / "6"
    remove = shutil.rmtree

    def remove_inside(path: Path, *arguments: Any, **options: Any) -> None:
        assert Path(path).resolve().is_relative_to(top), f"{path} was to be removed"
        remove(path, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", remove_inside)
        patch.setenv("BSDGATE_STATE_DIR", str(top / "state"))
        patch.setenv("BSDGATE_CACHE_DIR", str(top / "cache"))
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(top / "home" / "clouds.yaml"))
        for name in ("home", "state/runs/one", "state/clouds/there"):
            (top / name).mkdir(parents=True)
            (top / name / "precious").write_text("precious")
        yield top


NAMES = st.one_of(
    st.text(max_size=8),
    st.lists(st.sampled_from(["..", ".", "", "runs", "one", "clouds", "home"]), max_size=5).map(
        "/".join
    ),
    st.sampled_from(NASTY),
)


def everything(top: Path) -> list[Path]:
    return sorted(top.rglob("*"))


@given(name=NAMES, absolute=st.booleans(), command=st.sampled_from(sorted(COMMANDS)))
@example(name="../runs", absolute=False, command="down")
@example(name="", absolute=False, command="down")
def test_any_name_is_refused_or_belongs_to_no_cloud(
    top: Path, name: str, absolute: bool, command: str
) -> None:
    name = f"{top}/{name}" if absolute else name.lstrip("/")
    before = everything(top)
    words = [command, f"--name={name}", *COMMANDS[command]]
    try:
        checked_name(name)
    except UsageError:
        with pytest.raises(click.UsageError, match="cannot be the name of a cloud"):
            cli.bsdgate.main(words, standalone_mode=False)
    else:
        if command != "up" and name != "there":
            with pytest.raises(UsageError, match="there is no cloud"):
                cli.bsdgate.main(words, standalone_mode=False)
    assert everything(top) == before


def test_an_absolute_path_is_refused(top: Path) -> None:
    with pytest.raises(click.UsageError, match="cannot be the name of a cloud"):
        cli.bsdgate.main(["down", "--name", str(top / "home")], standalone_mode=False)
    assert (top / "home" / "precious").exists()


@pytest.mark.parametrize("link", [False, True])
def test_a_directory_that_bsdgate_did_not_make_is_not_removed(top: Path, link: bool) -> None:
    there = top / "state" / "clouds" / ("link" if link else "there")
    if link:
        there.symlink_to(top / "home")
    with pytest.raises(UsageError, match="bsdgate did not make it") as caught:
        cli.bsdgate.main(["down", "--name", there.name], standalone_mode=False)
    assert str(there) in str(caught.value)
    assert (there / "precious").exists()
    if link:
        there.unlink()
