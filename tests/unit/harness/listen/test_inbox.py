# SPDX-License-Identifier: Apache-2.0
"""The inbox, the settings, the poll and the health of the listener."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.zuul import JOB, TENANT, Zuul, simulated, verdict

from bsdgate.harness import files
from bsdgate.harness.errors import ConfigurationError
from bsdgate.harness.listen import health, settings
from bsdgate.harness.listen import inbox as inbox_module
from bsdgate.harness.listen.health import Health
from bsdgate.harness.listen.inbox import MESSAGES, Inbox
from bsdgate.harness.listen.poll import Poll
from bsdgate.harness.listen.zuul import Api, NoAnswer, parse
from bsdgate.harness.reviews.aside import ASIDE

NOW = datetime(2026, 11, 29, 2, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "broker": {"host": "mqtt.example.org", "ca": "ca.pem", "topics": ["zuul/#"]},
    "zuul": {"url": "https://zuul.example.org", "tenant": "t", "logs": ["https://l.example/"]},
    "gerrit": {"url": "https://review.example.org", "credentials": "netrc"},
    "pipelines": {"check": {"deadline": 60}},
    "jobs": [JOB],
}


@pytest.fixture
def zuul() -> Iterator[Zuul]:
    with simulated() as found:
        yield found


def with_value(place: str, value: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(GOOD))
    *parts, last = place.split(".")
    part = found
    for each in parts:
        part = part[each]
    part[last] = value
    return found


def test_paths_in_the_settings_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "listen.yaml").write_text(yaml.safe_dump(GOOD))
    found = settings.read(tmp_path / "listen.yaml")
    assert found.broker.ca == tmp_path / "ca.pem"
    assert found.gerrit.credentials == tmp_path / "netrc"
    assert (found.zuul.poll, found.gerrit.label) == (60.0, "Verified")


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        ("broker.ca", None, "without encryption"),
        ("broker.port", 0, "broker.port: 0: "),
        ("zuul.url", "http://zuul.example.org", "without encryption"),
        ("zuul.logs", ["https://l.example"], "must end with a slash"),
        ("zuul.logs", [], "zuul.logs"),
        ("gerrit.labels", "Verified", "unknown key gerrit.labels; did you mean label?"),
        ("required", {"p": ["other"]}, "required.p: other must be in jobs too"),
        ("pipelines", {}, "pipelines"),
    ],
)
def test_a_wrong_setting_is_an_error_with_its_place(
    tmp_path: Path, place: str, value: Any, text: str
) -> None:
    (tmp_path / "listen.yaml").write_text(yaml.safe_dump(with_value(place, value)))
    with pytest.raises(ConfigurationError) as error:
        settings.read(tmp_path / "listen.yaml")
    assert text in str(error.value)
    assert f"{tmp_path / 'listen.yaml'}:" in str(error.value)


def message(uuid: str = "b1", build: str = "u1") -> bytes:
    builds = [{"job_name": JOB, "uuid": build, "returned_data": {"bsdgate": {}}}]
    about = {"action": "success", "tenant": "t", "pipeline": "check"}
    return json.dumps({**about, "buildset": {"uuid": uuid, "builds": builds}}).encode()


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"[]", b'{"action": 1}', b"[" * 100_000, b'{"action": "success"}']
)
def test_what_is_no_message_is_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        parse(payload)


def test_each_different_message_of_a_buildset_stays(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox")
    assert inbox.add("b1")
    assert not inbox.add("b1")
    assert inbox.add("b1", message())
    assert not inbox.add("b1", message() + b" ")
    assert not inbox.add("b1")
    assert inbox.add("b1", message(build="u2"))
    ((item,), problems) = inbox.read()
    assert (item.uuid, list(map(list, item.messages)), problems) == ("b1", [["u1"], ["u2"]], [])
    inbox.remove(item)
    assert inbox.read() == ([], [])


def test_the_messages_of_a_buildset_are_limited(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox")
    for each in range(MESSAGES):
        assert inbox.add("b1", message(build=f"u{each}"))
    with pytest.raises(ValueError, match="has 4 different messages already"):
        inbox.add("b1", message(build="another"))
    assert len(inbox.read()[0][0].messages) == MESSAGES


def test_the_buildsets_that_wait_for_a_message_are_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "BUILDSETS", 2)
    inbox = Inbox(tmp_path / "inbox")
    assert inbox.add("b1", message("b1"))
    assert inbox.add("b2", message("b2"))
    with pytest.raises(ValueError, match="2 buildsets wait already; the poll finds b3"):
        inbox.add("b3", message("b3"))
    assert inbox.add("b2", message("b2", "u2"))
    assert inbox.add("b3")


@pytest.mark.parametrize("uuid", ["", "../b", "a/b", ".", "a" * 65])
def test_an_id_that_is_no_file_name_is_refused(tmp_path: Path, uuid: str) -> None:
    with pytest.raises(ValueError, match="cannot be the id"):
        Inbox(tmp_path / "inbox").add(uuid)


@pytest.mark.parametrize("content", ["", "[]", '{"received": "x"}', '{"message": null}'])
def test_a_damaged_file_is_set_aside(tmp_path: Path, content: str) -> None:
    inbox = Inbox(tmp_path / "inbox")
    (inbox.folder / "b1.json").write_text(content)
    items, (problem,) = inbox.read()
    assert items == []
    assert "b1.json is damaged" in problem
    assert (inbox.folder / ASIDE / "b1.json").read_text() == content


def poll_of(zuul: Zuul, inbox: Inbox, lines: list[str]) -> Poll:
    given = settings.Settings.model_validate(GOOD)
    return Poll(given, Api(zuul.url, TENANT), inbox, lines.append)


def test_the_poll_finds_what_ends_after_the_first_start(zuul: Zuul, tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox")
    poll = poll_of(zuul, inbox, [])
    zuul.add("before", 1, verdict(1))
    zuul.add("running", 2, verdict(2))
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    zuul.buildsets["running"] |= {"result": None, "event_timestamp": moment}
    zuul.add("between", 3, verdict(3))
    assert [one.uuid for one in poll.buildsets()] == ["running"]
    assert [item.uuid for item in inbox.read()[0]] == ["between"]
    zuul.buildsets["running"]["result"] = "SUCCESS"
    seen = inbox.seen()
    inbox.remember(seen.model_copy(update={"done": {"between": 3}}))
    inbox.remove(inbox.read()[0][0])
    assert poll.buildsets() == []
    assert [item.uuid for item in inbox.read()[0]] == ["running"]
    inbox.remember(inbox.seen().model_copy(update={"done": {"between": 3, "running": 2}}))
    poll.buildsets()
    assert (inbox.seen().floor, dict(inbox.seen().done)) == (4, {})


def test_a_damaged_state_makes_the_buildsets_of_the_last_days_count_again(
    zuul: Zuul, tmp_path: Path
) -> None:
    inbox, now = Inbox(tmp_path / "inbox"), datetime.now(UTC)
    zuul.add("ancient", 1, verdict(1), began=now - timedelta(days=9))
    zuul.add("recent", 2, verdict(2), began=now - timedelta(days=1))
    poll = poll_of(zuul, inbox, [])
    poll.buildsets()
    assert (inbox.read()[0], inbox.seen().floor) == ([], 3)
    (inbox.folder / "seen.state").write_text("{")
    poll.buildsets()
    assert [item.uuid for item in inbox.read()[0]] == ["recent"]


def test_a_buildset_that_never_ends_does_not_stay(zuul: Zuul, tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox")
    poll = poll_of(zuul, inbox, [])
    poll.buildsets()
    zuul.add("endless", 1, verdict(1), ended=False, began=datetime.now(UTC) - timedelta(days=9))
    assert poll.buildsets() == []
    assert inbox.seen().floor == 2


def test_an_api_without_the_tenant_is_no_answer(zuul: Zuul) -> None:
    with pytest.raises(NoAnswer, match="does not know this tenant"):
        Api(zuul.url, "other").buildsets()


def test_a_buildset_that_is_judged_again_is_found_below_the_floor(
    zuul: Zuul, tmp_path: Path
) -> None:
    inbox = Inbox(tmp_path / "inbox")
    poll = poll_of(zuul, inbox, [])
    poll.buildsets()
    zuul.add("b1", 1, verdict(1))
    inbox.remember(inbox.seen().with_done("b1", 1))
    poll.buildsets()
    assert inbox.seen().floor == 2
    inbox.remember(inbox.seen().with_again("b1"))
    poll.buildsets()
    assert [item.uuid for item in inbox.read()[0]] == ["b1"]
    inbox.remember(inbox.seen().with_done("b1", 1))
    assert inbox.seen().again == ()


HEALTHY = Health(
    pid=1, written=NOW, connected=True, polled=NOW, poll=60.0, waiting=0, oldest=0.0, reviews=0
)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, None),
        ({"connected": False}, "the broker is not connected"),
        ({"polled": None}, "Zuul's API has not answered yet"),
        ({"polled": NOW - timedelta(hours=1)}, "Zuul's API has not answered for 3600 s"),
        ({"written": NOW - timedelta(minutes=5)}, "has not written its state for 300 s"),
        ({"oldest": 4000.0}, "a buildset waits for 4000 s"),
        ({"blocked": "wrong password"}, "wrong password"),
        ({"events": False}, "Gerrit's events are not received"),
        ({"overdue": ("7,2: no report",)}, "7,2: no report"),
    ],
)
def test_the_health_has_each_problem(change: dict[str, Any], problem: str | None) -> None:
    found = list(HEALTHY.model_copy(update=change).problems(NOW))
    assert found == [] if problem is None else problem in found[0]


def test_the_state_counts_only_while_a_listener_runs(tmp_path: Path) -> None:
    health.write(tmp_path, HEALTHY.model_copy(update={"written": datetime.now(UTC)}))
    assert "no listener runs" in health.check(tmp_path)[1][0]
    lock = files.take_lock(tmp_path / health.LOCK)
    assert lock is not None
    lines, _ = health.check(tmp_path)
    assert "process 1" in lines
    (tmp_path / health.FILE).write_text("{}")
    assert "is damaged" in health.check(tmp_path)[1][0]


def test_the_poll_does_not_replace_a_message_that_comes_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zuul: Zuul
) -> None:
    inbox = Inbox(tmp_path)
    payload = json.dumps(zuul.add("b", 1, verdict(1))).encode()
    message = threading.Thread(target=inbox.add, args=("b", payload))
    write = files.write_atomically

    def write_slowly(path: Path, content: bytes) -> None:
        if message.ident is None:
            message.start()
            # Without a lock, the message is stored within this time, and then replaced.
            message.join(0.2)
        write(path, content)

    monkeypatch.setattr(files, "write_atomically", write_slowly)
    assert inbox.add("b")
    message.join()
    (item,), _ = inbox.read()
    assert item.messages
