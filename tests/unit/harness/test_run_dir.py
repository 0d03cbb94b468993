# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.run_dir."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.harness.manifests import manifest, with_node

from bsdgate.harness import files
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.identity import digest, version
from bsdgate.harness.manifest import AskedProject, ChangedProject, NodeDocument
from bsdgate.harness.profiles.load import load as load_profile
from bsdgate.harness.run_dir import RunDir
from bsdgate.results.attempts import IDENTITY
from bsdgate.results.codes import Code
from bsdgate.results.problems import Problem


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDir]:
    with RunDir.create(tmp_path / "runs", manifest(name="one")) as run:
        yield with_node(run)


def head(run: RunDir, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.evidence / name / "attempt.json").read_text())
    return found


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_manifest_has_all_fields_that_the_judge_reads(tmp_path: Path) -> None:
    changed = AskedProject(project="keystone", source="x", identity="sha256:1")
    made = manifest(changes=(changed,), evidence=("hostchecks", "tempest"))
    with RunDir.create(tmp_path, made) as run:
        written = json.loads((run.path / "manifest.json").read_text())
    assert written["schema"] == 3
    assert written["bsdgate_version"] == version()
    assert written["bsdgate_sha256"] == digest()
    services = written["profile_settings"]["content"]["services"]
    assert services.keys() == load_profile("embedded").services.keys()
    assert written["suite_settings"]["content"]["name"] == "smoke"
    assert written["with"] == [changed.model_dump()]
    assert written["evidence"] == ["hostchecks", "tempest"]
    assert written["selection"] is None
    assert written["created"].endswith("Z")
    assert run.path.name.endswith(f"Z-smoke-{written['run_id'][:6]}")


def test_everything_is_private(run: RunDir) -> None:
    run.record("prepare", "begin")
    attempt = run.begin_attempt("tempest", "subunit", b"a\n")
    attempt.stream.write(b"x")
    attempt.end(0)
    modes = {path.stat().st_mode & 0o777 for path in run.path.rglob("*") if path.is_file()}
    folders = [run.path, *(path for path in run.path.rglob("*") if path.is_dir())]
    assert modes == {0o600}
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


@pytest.mark.parametrize("name", ["", "..", ".x", "a/b", "a b", "x" * 101, "a\n"])
def test_an_invalid_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        RunDir.create(tmp_path, manifest(name=name))
    assert not list(tmp_path.iterdir())


def test_a_name_in_use_is_refused_and_the_run_is_kept(run: RunDir) -> None:
    with pytest.raises(UsageError, match="already"):
        RunDir.create(run.path.parent, manifest(name="one"))
    assert (run.path / "manifest.json").is_file()


def test_opened_run_is_the_same(run: RunDir) -> None:
    run.close()
    with RunDir.open(run.path) as opened:
        assert opened.manifest == run.manifest


def test_a_second_harness_is_refused_with_the_process_id_of_the_first(run: RunDir) -> None:
    with pytest.raises(UsageError, match=f"in use by process {os.getpid()}"):
        RunDir.open(run.path)


@pytest.mark.parametrize("content", [b"", b"\xff\0", b"9" * 40, b"mine"])
def test_garbage_in_the_lock_is_not_a_process_id(run: RunDir, content: bytes) -> None:
    (run.path / "lock").write_bytes(content)
    with pytest.raises(UsageError, match="in use by process unknown"):
        RunDir.open(run.path)


def test_the_lock_of_a_killed_harness_is_free(tmp_path: Path) -> None:
    with RunDir.create(tmp_path, manifest(name="one")) as run:
        path = run.path
    script = (
        "import sys, signal; from pathlib import Path; from bsdgate.harness.run_dir import RunDir\n"
        "run = RunDir.open(Path(sys.argv[1])); print('open', flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(UsageError, match=f"in use by process {holder.pid}"):
            RunDir.open(path)
        holder.send_signal(signal.SIGKILL)
    RunDir.open(path).close()


@pytest.mark.parametrize(
    ("key", "value"), [("schema", 2), ("schema", 4), ("schema", "3"), ("bsdgate_sha256", "ab" * 32)]
)
def test_run_of_another_version_is_refused(run: RunDir, key: str, value: object) -> None:
    path = run.path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    run.close()
    with pytest.raises(UsageError, match="was made by bsdgate") as caught:
        RunDir.open(run.path)
    assert str(value)[:12] in str(caught.value)
    assert version() in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema": 3}'])
def test_broken_manifest_is_named(run: RunDir, content: str) -> None:
    (run.path / "manifest.json").write_text(content)
    run.close()
    with pytest.raises(UsageError, match=r"manifest\.json is not a manifest"):
        RunDir.open(run.path)


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no manifest\.json"):
        RunDir.open(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_journal_has_the_events_in_order(run: RunDir) -> None:
    assert run.events() == []
    run.record("prepare", "begin")
    run.record("prepare", "end", seconds=1.5)
    run.record("deploy", "begin")
    run.record("test", "end")
    run.record("test", "begin")
    assert [event["step"] for event in run.events()][:2] == ["prepare", "prepare"]
    assert run.events()[1]["seconds"] == 1.5


@given(cut=st.integers(min_value=1, max_value=60))
def test_an_incomplete_line_is_ignored(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.mktemp("runs")
    with RunDir.create(base, manifest(name="one")) as run:
        run.record("prepare", "end")
        run.record("deploy", "end")
        journal = run.path / "journal.jsonl"
        os.truncate(journal, journal.stat().st_size - cut)
        assert [event["step"] for event in run.events()] == ["prepare"]
    with RunDir.open(base / "one") as run:
        run.record("check", "end")
        assert [event["step"] for event in run.events()] == ["prepare", "check"]


def test_a_failed_append_does_not_change_the_journal(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.record("prepare", "end")
    before = (run.path / "journal.jsonl").read_bytes()

    def fill_the_disk(fd: int, data: bytes) -> None:
        os.write(fd, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "write_all", fill_the_disk)
    with pytest.raises(InfrastructureError, match=r"no room to write .*journal\.jsonl"):
        run.record("deploy", "begin")
    assert (run.path / "journal.jsonl").read_bytes() == before


def test_a_closed_attempt_has_digests(run: RunDir) -> None:
    attempt = run.begin_attempt("tempest", "subunit", b"a\nb\n")
    begun = head(run, attempt.name)
    assert (attempt.name, begun["state"], begun["exit_status"]) == ("01-tempest", "running", None)
    for chunk in (b"one", b"", b"two" * 100_000):
        attempt.stream.write(chunk)
    attempt.end(1, [Problem(Code.SERVICE_DIED, "nova died")])
    ended = head(run, attempt.name)
    content = (attempt.folder / "stream.subunit").read_bytes()
    assert content == b"one" + b"two" * 100_000
    assert (attempt.folder / "asked.txt").read_bytes() == b"a\nb\n"
    assert ended["sha256"] == {"asked.txt": sha256(b"a\nb\n"), "stream.subunit": sha256(content)}
    assert (ended["state"], ended["exit_status"]) == ("ended", 1)
    assert ended["schema"] == 3
    assert ended["problems"] == [{"code": "service-died", "text": "nova died"}]
    assert ended["started"] <= ended["ended"]
    assert ended["run_id"] == run.manifest.run_id


def test_the_digest_is_of_the_data_that_was_written_not_of_the_file(run: RunDir) -> None:
    attempt = run.begin_attempt("tempest", "subunit", b"a\n")
    attempt.stream.write(b"received")
    attempt.stream.path.write_bytes(b"replaced")
    attempt.end(0)
    assert head(run, attempt.name)["sha256"]["stream.subunit"] == sha256(b"received")


def test_attempts_are_numbered_without_gaps(run: RunDir) -> None:
    names = [
        run.begin_attempt("hostchecks", "junit", b"").name,
        run.begin_attempt("rally", "rally", b"[]").name,
        run.begin_attempt("tempest", "subunit", b"").name,
    ]
    assert names == ["01-hostchecks", "02-rally", "03-tempest"]
    assert {path.name for path in (run.evidence / "02-rally").iterdir()} == {
        "asked.json",
        "attempt.json",
        "stream.json",
    }


def test_attempts_identify_the_run_and_are_in_the_journal(tmp_path: Path) -> None:
    changed = AskedProject(project="keystone", source="/k", identity="sha256:1")
    made = manifest(changes=(changed,), change="I8f4c", patchset="2")
    with RunDir.create(tmp_path, made) as run:
        with_node(run).begin_attempt("tempest", "subunit", b"")
        said = json.loads((run.path / "manifest.json").read_text())
        assert {key: head(run, "01-tempest")[key] for key in IDENTITY} == {
            key: said[key] for key in IDENTITY
        }
        (event,) = run.events()
        assert (event["step"], event["event"], event["name"]) == ("attempt", "begin", "01-tempest")


def test_an_attempt_has_the_name_of_the_node_and_the_digest_of_node_json(run: RunDir) -> None:
    run.begin_attempt("tempest", "subunit", b"")
    document = (run.path / "node.json").read_bytes()
    assert head(run, "01-tempest")["node"] == {"name": "local", "sha256": sha256(document)}


def test_node_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    changed = ChangedProject(project="keystone", source="/k", version="30", identity="sha256:1")
    with RunDir.create(tmp_path, manifest()) as run:
        assert run.read_node() is None
        document = NodeDocument(
            run_id=run.manifest.run_id,
            name="local",
            facts={"architecture": "arm64"},
            versions={"keystone": "30"},
            changes=(changed,),
        )
        run.write_node(document)
        assert run.read_node() == document
        assert json.loads((run.path / "node.json").read_text())["with"] == [changed.model_dump()]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": "running"}'])
def test_an_attempt_that_cannot_be_repaired_is_reported(run: RunDir, content: str) -> None:
    attempt = run.begin_attempt("tempest", "subunit", b"")
    (attempt.folder / "attempt.json").write_text(content)
    run.close()
    with pytest.raises(UsageError, match=r"01-tempest/attempt\.json is damaged"):
        RunDir.open(run.path)


def test_an_attempt_missing_from_the_journal_is_recorded_on_resume(run: RunDir) -> None:
    run.begin_attempt("hostchecks", "junit", b"").end(0)
    run.begin_attempt("tempest", "subunit", b"")
    journal = run.path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])
    run.close()
    with RunDir.open(run.path) as resumed:
        names = [event["name"] for event in resumed.events() if event["step"] == "attempt"]
        assert names == ["01-hostchecks", "02-tempest"]


def test_an_interrupted_attempt_is_followed_by_another(run: RunDir) -> None:
    attempt = run.begin_attempt("tempest", "subunit", b"a\n")
    attempt.stream.write(b"x")
    attempt.interrupt()
    found = head(run, attempt.name)
    assert (found["state"], found["exit_status"]) == ("interrupted", None)
    assert found["sha256"]["stream.subunit"] == sha256(b"x")


def test_an_attempt_of_a_killed_harness_is_closed_on_resume(run: RunDir) -> None:
    ended = run.begin_attempt("hostchecks", "junit", b"h\n")
    ended.end(0)
    killed = run.begin_attempt("tempest", "subunit", b"a\n")
    killed.stream.write(b"half")
    streamless = run.begin_attempt("tempest", "subunit", b"a\n")
    streamless.stream.path.unlink()
    (run.path / "attempt.new").mkdir()
    run.close()
    with RunDir.open(run.path) as resumed:
        assert head(resumed, ended.name)["state"] == "ended"
        found = head(resumed, killed.name)
        assert (found["state"], found["problems"]) == ("interrupted", [])
        assert found["sha256"]["stream.subunit"] == sha256(b"half")
        assert head(resumed, streamless.name)["sha256"]["stream.subunit"] == sha256(b"")
        assert resumed.begin_attempt("tempest", "subunit", b"a\n").name == "04-tempest"


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.ENOSPC, InfrastructureError, "no room to write .*manifest"),
        (errno.EDQUOT, InfrastructureError, "no room to write .*manifest"),
        (errno.EROFS, UsageError, "may not write .*manifest"),
        (errno.EIO, InfrastructureError, "cannot write .*manifest"),
    ],
)
def test_a_failed_write_is_reported_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[Exception],
    text: str,
) -> None:
    real = files.write_all

    def refuse(fd: int, data: bytes) -> None:
        if data.startswith(b"{"):
            raise OSError(number, os.strerror(number))
        real(fd, data)

    monkeypatch.setattr(files, "write_all", refuse)
    with pytest.raises(kind, match=text) as caught:
        RunDir.create(tmp_path, manifest(name="one"))
    assert "BSDGATE_STATE_DIR" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_base_below_a_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="may not write"):
        RunDir.create(tmp_path / "file" / "runs", manifest())


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077], ids=oct)
def test_a_run_is_private_with_any_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with RunDir.create(tmp_path / "state" / "runs", manifest(name="one")) as run:
            attempt = with_node(run).begin_attempt("tempest", "subunit", b"a\n")
            attempt.stream.write(b"x")
            attempt.end(0)
    finally:
        os.umask(before)
    paths = [tmp_path / "state", *(tmp_path / "state").rglob("*")]
    modes = {path: oct(path.stat().st_mode & 0o777) for path in paths}
    assert modes == {path: "0o700" if path.is_dir() else "0o600" for path in paths}
