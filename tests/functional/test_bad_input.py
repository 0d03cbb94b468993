# SPDX-License-Identifier: Apache-2.0
"""Wrong input is refused at once: exit code 2, the value, the next step, and no files."""

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from functional.place import BIN, Done, Place

# A command is refused before it starts a process.
SECONDS = 15

BROKEN_YAML = "name: mine\nnodes:\n  source: local\n bad: [1,\n"
WRONG_PROFILE = """\
name: mine
description: a profile with mistakes
release: "2026.2"
nodes:
  source: moon
services:
  keystone: {}
  cinder: {}
concurrency: many
"""
LONG = "a" * 300
BROKEN_CLOUDS = "clouds:\n  work:\n    auth: {username: me\n  other: 1\n"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a new place for the test."""
    root = tmp_path / "place"
    root.mkdir()
    place = Place(root, root / "cache")
    yield place
    place.close()


def refused(place: Place, *arguments: str | Path, **environment: str) -> Done:
    """Run a command; check that it was refused and left no files."""
    done = place.bsdgate(*arguments, **environment)
    assert done.code == 2, done
    assert "Traceback" not in done.text
    assert done.seconds < SECONDS
    place.wait_until_empty(5)
    assert place.stray_files() == []
    assert list(place.state.rglob("*")) == []
    return done


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["run", "--profile", "embeddid"], ["no profile 'embeddid'", "did you mean embedded?"]),
        (["run", "--profile", "freebsd"], ["profile freebsd", "--profile embedded"]),
        (
            ["run", "--profile", "none/such.yaml"],
            ["none/such.yaml: cannot be read", "No such file"],
        ),
        (["run", "--suite", "smok"], ["no suite 'smok'", "did you mean smoke?", "gate"]),
        (["run", "--tests", "test_(a"], ["test_(a", "unterminated", "position 5"]),
        (["run", "--concurrency", "0"], ["--concurrency", "0", "x>=1"]),
        (["run", "--resume", "nowhere"], ["nowhere is not a run directory", "bsdgate run"]),
        (["run", "--with", "keyston=/x"], ["keyston", "did you mean keystone"]),
        (["run", "--with", "keystone=/no/such"], ["/no/such is not the checkout of a Python"]),
        (["run", "--with", "keystone"], ["--with keystone:", "keystone=PATH"]),
        (["run", "--with", f"keystone=/{LONG}"], [f"the path /{LONG}", "File name too long"]),
        (["run", "--resume", LONG], [LONG, "File name too long", "give another path"]),
        (["scorecard", "--html", f"/{LONG}"], [f"/{LONG}", "File name too long"]),
        (["up", "--profile", "embeddid"], ["no profile 'embeddid'", "did you mean embedded?"]),
        (["up", "--profile", "morello"], ["profile morello", "--profile embedded"]),
        (["up", "--port", "cinder=1"], ["no service 'cinder'", "keystone, placement"]),
        (["up", "--port", "nova=99999"], ["'99999' is not a port", "1 to 65535"]),
        (["up", "--name", "../x"], ["'../x' cannot be the name of a cloud", "letters, digits"]),
        (["down"], ["no cloud 'bsdgate'", "bsdgate up"]),
        (["status", "--name", "x"], ["no cloud 'x'", "bsdgate up"]),
        (["logs"], ["no cloud 'bsdgate'", "bsdgate up"]),
        (["restart", "nova"], ["no cloud 'bsdgate'", "bsdgate up"]),
        (["restart", "cinder"], ["'cinder'", "nova"]),
        (["reset"], ["no cloud 'bsdgate'", "bsdgate up"]),
        (["dance"], ["No such command 'dance'"]),
    ],
    ids=lambda value: "-".join(value)[:40] if isinstance(value, list) else None,
)
def test_unknown_is_refused(place: Place, arguments: list[str], messages: list[str]) -> None:
    done = refused(place, *arguments)
    assert [text for text in messages if text not in done.text] == [], done


@pytest.mark.parametrize("name", ["../runs", "..", "", "absolute"])
def test_down_removes_nothing_but_clouds(place: Place, name: str) -> None:
    precious = place.state / "runs" / "one" / "precious"
    precious.parent.mkdir(parents=True)
    precious.write_text("precious")
    done = place.bsdgate("down", "--name", str(precious.parent) if name == "absolute" else name)
    assert done.code == 2, done
    assert "cannot be the name of a cloud" in done.text
    assert precious.read_text() == "precious"


def test_a_broken_profile_is_reported_with_the_line(place: Place) -> None:
    profile = place.root / "mine.yaml"
    profile.write_text(BROKEN_YAML)
    done = refused(place, "run", "--profile", profile)
    assert re.search(rf"{re.escape(str(profile))}:4:\d+: not YAML", done.text), done
    assert "correct the file" in done.text


def test_all_mistakes_of_a_profile_are_reported_at_once(place: Place) -> None:
    profile = place.root / "mine.yaml"
    profile.write_text(WRONG_PROFILE)
    done = refused(place, "run", "--profile", profile)
    assert f"{profile}:5:" in done.text
    assert "'moon' is not known (allowed: local, qemu, static, zuul)" in done.text
    assert f"{profile}:8:" in done.text
    assert "cinder" in done.text
    assert f"{profile}:9:" in done.text
    assert "'many'" in done.text


@pytest.mark.parametrize("content", [BROKEN_CLOUDS, "- a\n- list\n", "clouds: [1]\n"])
def test_a_broken_clouds_yaml_is_refused_and_not_changed(place: Place, content: str) -> None:
    place.clouds_yaml.parent.mkdir(parents=True)
    place.clouds_yaml.write_text(content)
    done = refused(place, "up")
    where = f"{place.clouds_yaml}:4:" if content == BROKEN_CLOUDS else f"{place.clouds_yaml}: "
    assert where in done.text
    assert "OS_CLIENT_CONFIG_FILE" in done.text
    assert place.clouds_yaml.read_text() == content


def test_another_cloud_of_the_users_is_not_overwritten(place: Place) -> None:
    content = "clouds:\n  bsdgate:\n    auth: {auth_url: 'https://work.example.org:5000/v3'}\n"
    place.clouds_yaml.parent.mkdir(parents=True)
    place.clouds_yaml.write_text(content)
    done = refused(place, "up")
    assert str(place.clouds_yaml) in done.text
    assert "--name" in done.text
    assert place.clouds_yaml.read_text() == content


@pytest.mark.parametrize("command", ["up", "run"])
def test_a_directory_that_cannot_be_written_is_refused(place: Place, command: str) -> None:
    """A path below a file cannot be made, not even by root."""
    file = place.root / "file"
    file.write_text("")
    done = refused(place, command, BSDGATE_STATE_DIR=str(file / "state"))
    assert f"may not write {file}" in done.text
    assert "BSDGATE_STATE_DIR" in done.text


@pytest.mark.parametrize(
    ("command", "setting"),
    [("up", "BSDGATE_STATE_DIR"), ("run", "BSDGATE_CACHE_DIR"), ("status", "BSDGATE_STATE_DIR")],
)
def test_a_directory_that_openstack_cannot_use_is_refused(
    place: Place, command: str, setting: str
) -> None:
    folder = place.root / "$(touch trap)"
    done = refused(place, command, **{setting: str(folder)})
    assert "$(touch trap)' contains '$'" in done.text
    assert f"choose another directory with {setting}" in done.text
    assert not folder.exists()


def test_a_missing_home_is_an_error_with_the_next_step(place: Place) -> None:
    """The user has no entry in the system's list, as in a container with any user id."""
    homeless = "import os, pwd, sys; del os.environ['HOME'], os.environ['BSDGATE_STATE_DIR']\n"
    homeless += "def unknown(uid): raise KeyError(uid)\npwd.getpwuid = unknown\n"
    homeless += "from bsdgate.harness.cli import main; sys.exit(main())"
    done = place.start("python", "-c", homeless, "status").done()
    assert done.code == 2, done
    assert "Traceback" not in done.text
    assert "HOME is not set" in done.text
    assert "BSDGATE_STATE_DIR" in done.text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="not every system has it")
@pytest.mark.parametrize("command", ["history", "expectations check", "--help"])
def test_output_to_a_full_disk_is_reported(place: Place, command: str) -> None:
    script = f"bsdgate {command} >/dev/full"
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    done = place.start("sh", "-c", script, PATH=path).done()
    assert done.code == 3, done
    assert done.text == "bsdgate: cannot write standard output: No space left on device\n"


@pytest.mark.parametrize("command", ["up", "run"])
def test_cache_that_cannot_be_written_is_refused(place: Place, command: str) -> None:
    file = place.root / "file"
    file.write_text("")
    done = place.bsdgate(command, BSDGATE_CACHE_DIR=str(file / "cache"))
    assert done.code == 2, done
    assert f"may not write {file}" in done.text
    assert "BSDGATE_CACHE_DIR" in done.text
    assert "Traceback" not in done.text
    place.wait_until_empty(5)


def test_clouds_yaml_that_cannot_be_written_is_refused(place: Place) -> None:
    (place.home / ".config").write_text("")
    done = place.bsdgate("up")
    assert done.code == 2, done
    assert f"cannot write {place.clouds_yaml}" in done.text
    assert "OS_CLIENT_CONFIG_FILE" in done.text
    place.wait_until_empty(5)
    assert list(place.state.rglob("*")) == []


@pytest.fixture(scope="module")
def poor_python(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python with the packages of this one, but without Keystone and with another Nova."""
    folder = tmp_path_factory.mktemp("poor")
    venv = [uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")]
    subprocess.run(venv, check=True)
    variables = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
    packages = Path(sysconfig.get_path("purelib", "venv", variables))
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if not re.match(r"keystone(-|$)|nova-", each.name):
            (packages / each.name).symlink_to(each)
    info = packages / "nova-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nova\nVersion: 1.0\n")
    return folder / "venv" / "bin" / "python"


@pytest.mark.parametrize("command", ["up", "run"])
def test_python_without_the_services_is_refused(
    place: Place, poor_python: Path, command: str
) -> None:
    done = place.start(poor_python, "-m", "bsdgate.harness", command).done()
    assert done.code == 2, done
    assert f"{poor_python} lacks" in done.text
    assert "keystone is not installed" in done.text
    assert "nova is 1.0, not " in done.text
    assert "run through tox" in done.text
    place.wait_until_empty(5)
    assert list(place.state.rglob("*")) == []
