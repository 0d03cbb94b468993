# SPDX-License-Identifier: Apache-2.0
"""The command ``bsdgate zuul collect``: the published files, and the data for Zuul."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.harness.commands.calls import Call
from unit.results import conftest

from bsdgate.results import document


@pytest.fixture
def made(tmp_path: Path) -> conftest.RunDir:
    run = conftest.RunDir(tmp_path / "run")
    run.manifest |= {"change": "912345", "patchset": "3"}
    run.recorded("subunit", "clean")
    return run


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def returned(out: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((out / "bsdgate" / "return.json").read_text())
    return data


def test_the_verdict_is_published_with_its_reference(
    zuul: Call, made: conftest.RunDir, out: Path
) -> None:
    items = ("--item", "openstack/keystone=912345,3", "--item", "openstack/nova=7,1")
    assert zuul("collect", made.path, "--output", out, "--change", "912345,3", *items).code == 0
    data = returned(out)["bsdgate"]
    artifacts = returned(out)["zuul"]["artifacts"]
    assert artifacts[-1]["metadata"] == {"bsdgate": data}
    for name in ("verdict", "comments"):
        content = (out / data[name]["path"]).read_bytes()
        assert data[name]["size"] == len(content)
        assert data[name]["sha256"] == hashlib.sha256(content).hexdigest()
    verdict = document.parse((out / data.pop("verdict")["path"]).read_bytes())
    comments = json.loads((out / data.pop("comments")["path"]).read_text())
    assert verdict.run.run_id == data["run_id"]
    shown = returned(out)["zuul"]
    assert comments["zuul"] == shown | {"artifacts": artifacts[:-1]}
    assert data == {
        "schema": 1,
        "run_id": conftest.RUN_ID,
        "result": "PASS",
        "change": "912345",
        "patchset": "3",
        "items": [
            {"project": "openstack/keystone", "change": "912345", "patchset": "3"},
            {"project": "openstack/nova", "change": "7", "patchset": "1"},
        ],
    }


def test_the_artifacts_are_in_the_output(zuul: Call, made: conftest.RunDir, out: Path) -> None:
    zuul("collect", made.path, "--output", out)
    urls = [artifact["url"] for artifact in returned(out)["zuul"]["artifacts"]]
    assert urls
    assert all((out / url).is_file() for url in urls)
    assert (out / "run" / "manifest.json").is_file()
    assert (out / "run" / "evidence" / "01-recorded" / "attempt.json").is_file()


def test_a_run_without_its_evidence_is_an_error(
    zuul: Call, made: conftest.RunDir, out: Path
) -> None:
    (made.path / "evidence" / "01-recorded" / "stream.subunit").unlink()
    assert zuul("collect", made.path, "--output", out).code == 3
    assert returned(out)["bsdgate"]["result"] == "ERROR"


def test_an_earlier_verdict_is_not_believed(zuul: Call, made: conftest.RunDir, out: Path) -> None:
    zuul("collect", made.path, "--output", out)
    (made.path / "evidence" / "01-recorded" / "stream.subunit").write_bytes(b"other")
    assert zuul("collect", made.path, "--output", out.with_name("again")).code == 3


def test_a_folder_without_a_manifest_is_refused(zuul: Call, tmp_path: Path, out: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = zuul("collect", tmp_path / "empty", "--output", out)
    assert (ended.code, out.exists()) == (3, False)


@pytest.mark.parametrize("change", ["912345,4", "912346,3"])
def test_the_run_of_another_change_is_refused(
    zuul: Call, made: conftest.RunDir, out: Path, change: str
) -> None:
    ended = zuul("collect", made.path, "--output", out, "--change", change)
    assert (ended.code, out.exists()) == (3, False)
    assert f"has tested 912345,3, and the build is for {change}" in ended.err


def test_secrets_are_masked_and_reported(zuul: Call, made: conftest.RunDir, out: Path) -> None:
    logs = made.path / "logs"
    logs.mkdir()
    (made.path / "clouds.yaml").write_text("clouds: {a: {auth: {password: the-password}}}")
    (logs / "nova.log").write_text("login the-password ok\n")
    with gzip.open(logs / "tempest.log.gz", "wb") as file:
        file.write(b"x the-password y")
    ended = zuul("collect", made.path, "--output", out)
    warning = "bsdgate masked secrets in the published files (password of the cloud: 2)"
    assert ended.code == 0
    assert warning in " ".join(ended.out.split())
    assert warning in returned(out)["zuul"]["warnings"][-1]
    assert (out / "run" / "logs" / "nova.log").read_text() == "login ************ ok\n"
    assert gzip.decompress((out / "run/logs/tempest.log.gz").read_bytes()) == b"x ************ y"
    assert not [path for path in out.rglob("*") if path.name == "clouds.yaml"]


def test_the_configuration_of_tempest_is_published_without_its_passwords(
    zuul: Call, made: conftest.RunDir, out: Path
) -> None:
    (made.path / "clouds.yaml").write_text("clouds: {a: {auth: {password: the-password}}}")
    configuration = made.path / "tempest" / "etc" / "tempest.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text("[auth]\nadmin_password = the-password\nadmin_username = admin\n")
    assert zuul("collect", made.path, "--output", out).code == 0
    published = (out / "run" / "tempest" / "etc" / "tempest.conf").read_text()
    assert published == "[auth]\nadmin_password = ************\nadmin_username = admin\n"
    assert not any("masked" in each for each in returned(out)["zuul"]["warnings"])


def test_links_are_not_followed(
    zuul: Call, made: conftest.RunDir, out: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("x")
    (made.path / "logs").mkdir()
    (made.path / "logs" / "file").symlink_to(tmp_path / "outside" / "file")
    (made.path / "logs" / "folder").symlink_to(tmp_path / "outside")
    zuul("collect", made.path, "--output", out)
    assert not (out / "run" / "logs").exists()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (lambda run: run / "out", "is in the run directory"),
        (lambda run: run.parent, "is not an empty directory"),
    ],
)
def test_the_output_is_a_new_directory(
    zuul: Call, made: conftest.RunDir, place: Callable[[Path], Path], message: str
) -> None:
    ended = zuul("collect", made.path, "--output", place(made.path))
    assert ended.code == 2
    assert message in ended.err
