# SPDX-License-Identifier: Apache-2.0
"""The spool: what was added is read again, and a damaged file is set aside."""

import json
import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bsdgate.harness import files
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.reviews import aside
from bsdgate.harness.reviews.aside import ASIDE
from bsdgate.harness.reviews.spool import Spool, uuid_of
from bsdgate.results.reporters.review import Buildset, LineComment, Review

SERVER = "https://review.example.org"
BUILDSET = Buildset(912345, 3, "8f3c", datetime(2026, 11, 29, 1, 40, tzinfo=UTC))
REVIEW = Review(BUILDSET, "☃\nm", {"Verified": -1}, (LineComment("a.py", 3, "Boom"),))

NOW = time.time()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "state" / "reviews")


def read(spool: Spool) -> list[Review]:
    entries, problems = spool.read()
    assert problems == []
    return [entry.review for entry in entries]


def of(uuid: str, seconds: int) -> Review:
    started = BUILDSET.started + timedelta(seconds=seconds)
    return replace(REVIEW, buildset=replace(BUILDSET, uuid=uuid, started=started))


def test_a_review_is_read_as_it_was_added_also_by_another_process(spool: Spool) -> None:
    spool.add(SERVER, REVIEW)
    (entry,), problems = Spool(spool.folder).read()
    assert (entry.server, entry.review, entry.sent, problems) == (SERVER, REVIEW, None, [])
    assert entry.path.stat().st_mode & 0o777 == 0o600
    assert spool.folder.stat().st_mode & 0o777 == 0o700


def test_the_oldest_buildset_is_first(spool: Spool) -> None:
    for uuid, seconds in (("a", 5), ("b", -5), ("c", 0)):
        spool.add(SERVER, of(uuid, seconds))
    assert [review.buildset.uuid for review in read(spool)] == ["b", "c", "a"]


def test_a_review_is_there_once_for_each_server(spool: Spool) -> None:
    spool.add(SERVER, REVIEW)
    spool.add(SERVER, REVIEW)
    spool.add("https://other.example.org", REVIEW)
    assert len(read(spool)) == 2


def test_a_review_that_was_possibly_sent_is_not_replaced(spool: Spool) -> None:
    sent = spool.mark_sent(spool.add(SERVER, REVIEW))
    assert spool.add(SERVER, REVIEW) == sent
    assert spool.read() == ([sent], [])


def test_a_damaged_review_is_replaced(spool: Spool) -> None:
    moment = datetime.now(UTC)
    spool.add(SERVER, REVIEW).path.write_text("{")
    entry = spool.add(SERVER, REVIEW, moment)
    assert (entry.sent, spool.read()) == (moment, ([entry], []))


def test_a_damaged_review_is_reported_before_it_is_set_aside(tmp_path: Path) -> None:
    found: list[tuple[str, bool]] = []
    spool = Spool(tmp_path)
    spool.add(SERVER, of("a-b", 0)).path.write_text("{")
    spool.read(lambda path: found.append((uuid_of(path), path.exists())))
    assert found == [("a-b", True)]


def test_files_that_were_set_aside_are_limited_in_number_and_age(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "KEPT", 2)
    for each in range(3):
        path = spool.set_aside(spool.add(SERVER, of(f"u{each}", 0)), "refused")
        os.utime(path, (NOW + each, NOW + each))
    assert aside.prune(spool.folder) == 2
    kept = sorted((spool.folder / ASIDE).glob("*.json"))
    assert [uuid_of(each) for each in kept] == ["u1", "u2"]
    os.utime(kept[0], (NOW - 31 * 86400, NOW - 31 * 86400))
    assert aside.prune(spool.folder) == 1
    assert [each.suffix for each in sorted((spool.folder / ASIDE).iterdir())] == [
        ".json",
        ".reason",
    ]


def test_a_removed_review_is_gone(spool: Spool) -> None:
    entry = spool.add(SERVER, REVIEW)
    spool.remove(entry)
    spool.remove(entry)
    assert read(spool) == []


def test_the_time_of_sending_is_kept(spool: Spool) -> None:
    entry = spool.mark_sent(spool.add(SERVER, REVIEW))
    ((again,), _) = Spool(spool.folder).read()
    assert again == entry
    assert entry.sent is not None
    assert abs(datetime.now(UTC) - entry.sent) < timedelta(minutes=1)


def edited(**fields: Any) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps(json.loads(content) | fields).encode()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "another vote": lambda content: content.replace(b"-1", b"1"),
    "another comment": lambda content: content.replace(b"Boom", b"Boon"),
    "zeros": lambda content: b"\0" * len(content),
    "a list": lambda content: b"[]",
    "no fields": lambda content: b"{}",
    "another digest": edited(sha256="0" * 64),
    "another schema": edited(schema=2),
    "another server": edited(server="https://evil.example.org"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_set_aside_with_the_reason_and_others_are_read(
    spool: Spool, damage: Callable[[bytes], bytes]
) -> None:
    path = spool.add(SERVER, REVIEW).path
    other = spool.add(SERVER, of("other", 1))
    path.write_bytes(damage(path.read_bytes()))
    entries, (problem,) = spool.read()
    assert [entry.path for entry in entries] == [other.path]
    kept = spool.folder / ASIDE / path.name
    assert path.name in problem
    assert str(kept) in problem
    assert kept.exists()
    assert "damaged" in kept.with_suffix(".reason").read_text()
    assert spool.read() == ([other], [])


def test_a_file_that_was_not_completed_is_ignored(spool: Spool) -> None:
    entry = spool.add(SERVER, REVIEW)
    (spool.folder / f".{entry.path.name}.x").write_bytes(entry.path.read_bytes()[:9])
    assert read(spool) == [REVIEW]


def test_a_refused_review_is_kept_elsewhere(spool: Spool) -> None:
    entry = spool.add(SERVER, REVIEW)
    kept = spool.set_aside(entry, "refused: 400 malformed")
    assert read(spool) == []
    assert kept.exists()
    assert kept.with_suffix(".reason").read_text() == "refused: 400 malformed\n"


def test_a_full_disk_is_an_error_and_leaves_the_old_file(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = spool.add(SERVER, REVIEW)

    def full(fd: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_all", full)
        with pytest.raises(InfrastructureError, match="no room"):
            spool.mark_sent(entry)
    assert read(spool) == [REVIEW]
    assert [path.name for path in spool.folder.iterdir() if path.is_file()] == [entry.path.name]


def test_a_name_is_written_to_the_disk_before_add_returns(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda fd: folders.append(stat.S_ISDIR(os.fstat(fd).st_mode)))
    spool.add(SERVER, REVIEW)
    assert folders == [False, True]


def test_a_process_that_waits_for_another_one_reports_it(spool: Spool) -> None:
    waits, entered = threading.Event(), threading.Event()
    lines: list[str] = []

    def report(line: str) -> None:
        lines.append(line)
        waits.set()

    def enter() -> None:
        with Spool(spool.folder).locked(report):
            entered.set()

    thread = threading.Thread(target=enter)
    with spool.locked(lambda line: None):
        thread.start()
        assert waits.wait(30)
        assert not entered.is_set()
    thread.join()
    assert entered.is_set()
    assert lines == [f"waiting for process {os.getpid()}, which posts reviews"]
