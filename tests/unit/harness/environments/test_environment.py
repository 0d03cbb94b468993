# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.environments.environment; builds are in tests/functional/test_environment.py."""

import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from bsdgate.harness import files, folders
from bsdgate.harness.environments import environment
from bsdgate.harness.environments.changes import parse_all
from bsdgate.harness.errors import ConfigurationError, UsageError
from bsdgate.harness.process import ProcessError

RELEASE = "2026.2"


def never(message: str) -> None:
    pytest.fail(f"nothing should take time: {message}")


def distribution(folder: Path, name: str, version: str, *needs: str) -> metadata.Distribution:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {need}" for need in needs)]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    return metadata.Distribution.at(info)


def test_without_changes_the_running_environment_is_used(tmp_path: Path) -> None:
    found = environment.prepare([], RELEASE, tmp_path, never)
    assert found.python == Path(sys.executable)
    assert found.versions()["keystone"] == metadata.version("keystone")
    assert not list(tmp_path.iterdir())


def test_missing_distributions_and_other_versions_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = metadata.version

    def pretend(name: str) -> str:
        if name == "nova":
            raise metadata.PackageNotFoundError
        return "1.0" if name == "glance" else real(name)

    monkeypatch.setattr(metadata, "version", pretend)
    with pytest.raises(UsageError, match="nova is not installed") as caught:
        environment.prepare([], RELEASE, tmp_path, never, needed=["keystone", "nova", "glance"])
    assert "glance is 1.0, not 33.0.0" in str(caught.value)
    assert "2026.2.txt" in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (("keystone", "31", "oslo.db>=18"), []),
        (
            ("keystone", "31", "Oslo_DB>=19"),
            ["keystone 31 needs Oslo_DB>=19, but 18.1 is installed"],
        ),
        (("keystone", "31", "new"), ["keystone 31 needs new, but nothing is installed"]),
        (("keystone", "31", "new; extra == 'ldap'"), []),
        (("keystone", "31", "new; python_version < '3'"), []),
        (("oslo.db", "19.dev3"), ["nova 34 needs oslo.db<19,>=18, but 19.dev3 is installed"]),
    ],
)
def test_unmet_requirements_are_reported(
    tmp_path: Path, changed: tuple[str, ...], expected: list[str]
) -> None:
    there = [
        distribution(tmp_path / "low", "nova", "34", "oslo.db>=18,<19"),
        distribution(tmp_path / "low", "oslo.db", "18.1", "never-there>5"),
        distribution(tmp_path / "layer", *changed),
    ]
    installed = {canonicalize_name(each.metadata["Name"]): each for each in there}
    found = environment.conflicts(installed, {canonicalize_name(changed[0])})
    assert [text.replace(">=18,<19", "<19,>=18") for text in found] == expected


@pytest.mark.parametrize("attack", ["fifo", "link"])
def test_an_installed_fifo_does_not_block(tmp_path: Path, attack: str) -> None:
    info = tmp_path / "keystone-1.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("")
    (tmp_path / "link").symlink_to("/dev/zero")
    environment._check_readable(tmp_path)
    if attack == "fifo":
        os.mkfifo(info / "METADATA")
    else:
        (info / "METADATA").symlink_to("/dev/zero")
    with pytest.raises(ConfigurationError, match="METADATA, which is not a regular file"):
        environment._check_readable(tmp_path)


@pytest.mark.parametrize("name", ["planted", "../planted", "link"])
def test_commands_are_written_into_the_environment_only(tmp_path: Path, name: str) -> None:
    """The build may have left links and names that lead to other directories."""
    folder = tmp_path / "environment" / "bin"
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    made = distribution(tmp_path / "lib", "planted", "1")
    (tmp_path / "lib" / "planted-1.dist-info" / "entry_points.txt").write_text(
        f"[console_scripts]\n{name} = a.b:c\n"
    )
    environment._write_scripts(tmp_path / "environment", [made])
    assert (folder / "planted").exists() == (name == "planted")
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "environment" / "planted").exists()


def test_environments_that_were_not_used_are_removed(tmp_path: Path) -> None:
    now = time.time()
    for number in range(9):
        folder = tmp_path / f"e{number}"
        folders.make_marked(folder)
        (folder / "complete").touch()
        os.utime(folder / "complete", (now, now - number * 0.4 * 24 * 3600))
    locked = files.take_lock(tmp_path / "e8.lock")
    environment.prune(tmp_path)
    assert locked is not None
    os.close(locked)
    kept = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert kept == ["e0", "e1", "e2", "e3", "e4", "e8"]


def test_environments_used_today_are_kept(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"e{number}").mkdir()
        (tmp_path / f"e{number}" / "complete").touch()
    environment.prune(tmp_path)
    assert len(list(tmp_path.iterdir())) == 9


def test_a_script_of_an_environment_runs_from_any_directory(tmp_path: Path) -> None:
    folder = tmp_path / "it's (my) folder" / ("long" * 30)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    info = tmp_path / "tool-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: tool\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[console_scripts]\ntool = shlex:join\n")
    environment._write_scripts(folder, [metadata.Distribution.at(info)])
    text = (folder / "bin" / "tool").read_text()
    (folder / "bin" / "tool").write_text(text.replace("join()", "join(sys.argv)"))
    done = subprocess.run(
        [folder / "bin" / "tool", "a b"], capture_output=True, text=True, check=False
    )
    assert done.stderr == f"'{folder}/bin/tool' 'a b'\n".replace("it's", """it'"'"'s""")


def test_a_change_that_is_refused_leaves_nothing_in_the_cache(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "--quiet", repository], check=True)
    (change,) = parse_all([f"keystone=git+file://{repository}@nowhere"], RELEASE)
    with pytest.raises(UsageError, match="no branch, tag or ref 'nowhere'"):
        environment.prepare([change], RELEASE, tmp_path / "cache", never)
    assert list((tmp_path / "cache" / "environments").iterdir()) == []


@pytest.mark.usefixtures("uv")
def test_the_factor_multiplies_the_time_limit_of_a_build(tmp_path: Path) -> None:
    changes = parse_all(["keystone==30.0.0"], RELEASE)
    with pytest.raises(ProcessError, match=r"did not end within 9e-07 s"):
        environment.prepare(changes, RELEASE, tmp_path, lambda _: None, 1e-9)


def test_a_log_that_an_error_refers_to_is_kept_for_a_day(tmp_path: Path) -> None:
    (change,) = parse_all([f"keystone=git+file://{tmp_path}/none@main"], RELEASE)
    base = tmp_path / "cache" / "environments"
    with pytest.raises(ProcessError) as caught:
        environment.prepare([change], RELEASE, tmp_path / "cache", never)
    assert list(base.iterdir()) == [caught.value.log]
    old = base / "resolve-1.log"
    caught.value.log.rename(old)
    os.utime(old, (0, 0))
    with pytest.raises(ProcessError) as caught:
        environment.prepare([change], RELEASE, tmp_path / "cache", never)
    assert list(base.iterdir()) == [caught.value.log]
