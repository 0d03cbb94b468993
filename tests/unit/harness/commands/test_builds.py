# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.commands.builds: the files of a build, from a local server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.release_tree import ReleaseTree, serving

from bsdgate.harness.commands.builds import Build, Ref, api_url, fetch
from bsdgate.harness.errors import InfrastructureError, UsageError

UUID = "5f0c5a1e6a8b4c0d9e7f3a2b1c0d9e8f"
ATTEMPTS = [
    {"name": "01-hostchecks", "kind": "hostchecks"},
    {"name": "02-tempest", "kind": "tempest"},
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ReleaseTree]:
    with serving(tmp_path / "tree") as tree:
        yield tree


def publish(server: ReleaseTree, **build: Any) -> str:
    """Publish a build with a run; return the address of its page."""
    root = server.write("logs/run/manifest.json", b"manifest").removesuffix("/run/manifest.json")
    found = {"uuid": UUID, "job_name": "job", "result": "FAILURE", "log_url": f"{root}/"} | build
    server.write("logs/bsdgate/verdict.json", json.dumps({"attempts": ATTEMPTS}).encode())
    server.write("logs/run/evidence/02-tempest/workers.json", b"workers")
    server.write("logs/run/evidence/02-tempest/attempt.json", b"attempt")
    api = f"api/tenant/one/build/{UUID}"
    url = server.write(api, json.dumps(found).encode())
    return url.replace("/api/tenant/one/", "/t/one/")


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://z.example.org/t/one/build/abc", "https://z.example.org/api/tenant/one/build/abc"),
        (
            "https://z.example.org/t/one/build/abc/",
            "https://z.example.org/api/tenant/one/build/abc",
        ),
        ("https://z.example.org/build/abc", "https://z.example.org/api/build/abc"),
        ("https://e.org/zuul/api/tenant/t/build/a", "https://e.org/zuul/api/tenant/t/build/a"),
    ],
)
def test_the_page_of_a_build_has_an_address_in_the_api(url: str, api: str) -> None:
    assert api_url(url) == api


@pytest.mark.parametrize("url", ["https://e.org/t/one/builds", "ftp://e.org/build/a", "build/a"])
def test_another_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="is not the address of a build"):
        api_url(url)


def test_the_files_have_the_paths_of_a_run_directory(server: ReleaseTree, tmp_path: Path) -> None:
    build = fetch(publish(server), tmp_path / "run")
    assert (build.job_name, build.change) == ("job", None)
    found = {str(each.relative_to(tmp_path / "run")) for each in tmp_path.glob("run/**/*.json")}
    evidence = {f"evidence/02-tempest/{name}.json" for name in ("workers", "attempt")}
    assert found == {"manifest.json", "report/verdict.json", *evidence}
    assert (tmp_path / "run" / "manifest.json").read_bytes() == b"manifest"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ({"result": None}, "has not ended"),
        ({"log_url": None}, "has no logs"),
    ],
)
def test_a_build_without_a_run_is_refused(
    server: ReleaseTree, tmp_path: Path, build: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        fetch(publish(server, **build), tmp_path / "run")


def test_a_build_that_published_no_run_is_refused(server: ReleaseTree, tmp_path: Path) -> None:
    url = publish(server, log_url=server.write("empty/x", b"").removesuffix("x"))
    with pytest.raises(UsageError, match=r"\(job, FAILURE\) has published no run"):
        fetch(url, tmp_path / "run")


def test_an_answer_of_another_server_is_an_error(server: ReleaseTree, tmp_path: Path) -> None:
    url = server.write(f"api/build/{UUID}", b"<html>")
    with pytest.raises(InfrastructureError, match="is not that of Zuul"):
        fetch(url, tmp_path / "run")


def test_the_change_is_fetched_from_the_review_server() -> None:
    ref = Ref(
        project="openstack/keystone",
        ref="refs/changes/45/12345/3",
        ref_url="https://review.example.org/c/openstack/keystone/+/12345",
    )
    change = Build(uuid=UUID, job_name="job", ref=ref).change
    assert change == (
        "keystone=git+https://review.example.org/openstack/keystone@refs/changes/45/12345/3"
    )


@pytest.mark.parametrize("ref", [None, Ref(project="p", ref="refs/heads/main")])
def test_a_build_of_a_branch_has_no_change(ref: Ref | None) -> None:
    assert Build(uuid=UUID, job_name="job", ref=ref).change is None
