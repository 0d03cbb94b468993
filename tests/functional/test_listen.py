# SPDX-License-Identifier: Apache-2.0
"""The listener with a real broker and a real Gerrit; Zuul's API and log server are simulated."""

import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from fakes.faults import Fault, proxying
from fakes.zuul import PROJECT, Zuul, simulated, verdict
from functional import gerrit as real
from functional import mosquitto
from functional.gerrit import Gerrit
from functional.listen_settings import ACCOUNTS, settings
from functional.listening import CONNECTED, Listener
from functional.mosquitto import LISTENER, OTHER, Broker
from functional.place import wait_for

from bsdgate.results.model import Result
from bsdgate.results.reporters.review import marked

# The first test may make the site of Gerrit, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def zuul() -> Iterator[Zuul]:
    with simulated() as found:
        yield found


@pytest.fixture
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    encrypted = getattr(request, "param", False)
    try:
        with mosquitto.broker(tmp_path / "mosquitto", encrypted=encrypted) as found:
            yield found
    except mosquitto.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def listener(tmp_path: Path, zuul: Zuul, broker: Broker, server: Gerrit) -> Iterator[Listener]:
    found = Listener(tmp_path, settings(zuul, broker, server.url), ACCOUNTS)
    yield found
    found.close()
    output = "".join(found.output)
    assert not [each for each in (LISTENER[1], real.CI[1]) if each in output]


@pytest.fixture
def running(listener: Listener) -> Listener:
    listener.start()
    listener.until(CONNECTED)
    return listener


def uuids(server: Gerrit, change: int) -> list[str]:
    return [found.uuid for each in server.messages(change) if (found := marked(each))]


def test_each_buildset_is_posted_once_with_its_vote(
    server: Gerrit, zuul: Zuul, broker: Broker, running: Listener
) -> None:
    good, bad = server.new_change(), server.new_change()
    first = zuul.add("b1", good, verdict(good, run="r1"))
    second = zuul.add("b2", bad, verdict(bad, result=Result.FAIL, run="r2"))
    broker.publish(b"not JSON")
    running.until("is dropped")
    for message in (second, first, first, second):
        broker.publish(message)
    running.until("posted")
    running.until("posted")
    broker.publish(first)
    code, output = running.check()
    assert (code, "healthy" in output) == (0, True), output
    assert running.end() == 0
    assert (uuids(server, good), uuids(server, bad)) == (["b1"], ["b2"])
    assert (server.vote(good), server.vote(bad)) == (1, -1)
    code, output = running.check()
    assert (code, "no listener runs" in output) == (3, True)


def test_an_older_buildset_never_speaks_after_a_newer_one(
    server: Gerrit, zuul: Zuul, broker: Broker, running: Listener
) -> None:
    change = server.new_change()
    older = zuul.add("old", change, verdict(change, run="r1"), second=1)
    zuul.buildsets["old"]["result"] = None
    newer = zuul.add("new", change, verdict(change, result=Result.FAIL, run="r2"), second=2)
    broker.publish(newer)
    running.until("new: posted")
    zuul.buildsets["old"]["result"] = "SUCCESS"
    broker.publish(older)
    running.until("old: superseded")
    assert uuids(server, change) == ["new"]
    assert server.vote(change) == -1


def test_a_message_that_is_lost_with_the_broker_is_found_by_polling(
    server: Gerrit, zuul: Zuul, broker: Broker, running: Listener
) -> None:
    change, next_change = server.new_change(), server.new_change()
    broker.stop()
    running.until("has ended")
    message = zuul.add("lost", change, verdict(change))
    returned = message["buildset"]["builds"][0]["returned_data"]["bsdgate"]
    artifact = {"name": "bsdgate verdict", "metadata": {"bsdgate": returned}}
    zuul.buildsets["lost"]["builds"][0]["artifacts"] = [artifact]
    running.until("lost: posted")
    assert server.vote(change) == 1
    broker.start()
    running.until(CONNECTED)
    broker.publish(zuul.add("next", next_change, verdict(next_change)))
    running.until("next: posted")
    assert server.vote(next_change) == 1


def test_messages_and_reviews_survive_a_kill_and_a_restart(
    server: Gerrit, zuul: Zuul, broker: Broker, listener: Listener
) -> None:
    changes = [server.new_change() for _ in range(3)]
    with proxying(server.url) as proxy:
        listener.settings["gerrit"]["url"] = proxy.url
        proxy.faults = {"GET": [Fault.ERROR] * 100}
        listener.start()
        listener.until(CONNECTED)
        broker.publish(zuul.add("b0", changes[0], verdict(changes[0], run="r0")))
        listener.until("b0: waiting")
        listener.end(signal.SIGKILL)
        # The broker keeps these for the session.
        for each in (1, 2):
            broker.publish(
                zuul.add(f"b{each}", changes[each], verdict(changes[each], run=f"r{each}"))
            )
        proxy.faults = {}
        listener.start()
        for _ in changes:
            listener.until(": posted")
        assert listener.end() == 0
    assert [uuids(server, each) for each in changes] == [["b0"], ["b1"], ["b2"]]
    assert [server.vote(each) for each in changes] == [1, 1, 1]


def test_a_damaged_review_is_judged_again(
    server: Gerrit, zuul: Zuul, broker: Broker, listener: Listener
) -> None:
    change = server.new_change()
    with proxying(server.url) as proxy:
        listener.settings["gerrit"] |= {"url": proxy.url, "timeout": 4}
        proxy.unavailable = True
        listener.start()
        listener.until(CONNECTED)
        broker.publish(zuul.add("b0", change, verdict(change), artifact=True))
        listener.until("b0: waiting")
        listener.end(signal.SIGKILL)
        (review,) = (listener.folder / "state" / "reviews").glob("*.json")
        review.write_bytes(review.read_bytes()[:99])
        proxy.unavailable = False
        listener.start()
        listener.until("buildset b0 is judged again")
        listener.until("b0: posted")
        code, output = listener.check()
        assert (code, "warning: 1 files are set aside" in output) == (0, True), output
    assert (uuids(server, change), server.vote(change)) == (["b0"], 1)


def has_log_request(zuul: Zuul, since: int) -> bool:
    """Return whether the logs of the buildset "late" were requested again."""
    return any("/logs/late/" in each for each in zuul.asked[since:])


def test_a_forged_success_is_refused_by_the_acl_and_by_the_api(
    server: Gerrit, zuul: Zuul, broker: Broker, running: Listener
) -> None:
    change, other = server.new_change(), server.new_change()
    message = zuul.add("real", change, verdict(change, run="r1"))
    zuul.buildsets["real"]["builds"][0]["result"] = "NODE_FAILURE"
    zuul.buildsets["real"]["result"] = None
    broker.publish(message, OTHER)
    # What comes after it proves that it did not come.
    broker.publish(zuul.add("after", other, verdict(other, run="r2")))
    running.until("after: posted")
    assert not (running.folder / "state" / "inbox" / "real.json").exists()
    assert uuids(server, change) == []
    forged = json.loads(json.dumps(message).replace('"real"', '"forged"'))
    broker.publish(forged)
    running.until("buildset forged is refused: Zuul's API has no such buildset")
    broker.publish(message)
    zuul.buildsets["real"]["result"] = "FAILURE"
    running.until("real: posted")
    (text,) = server.messages(change)
    assert "NODE_FAILURE" in text
    assert server.vote(change) == 0


def test_a_verdict_with_a_wrong_digest_gives_no_vote_and_logs_are_requested_again(
    server: Gerrit, zuul: Zuul, broker: Broker, running: Listener
) -> None:
    wrong, late = server.new_change(), server.new_change()
    message = zuul.add("wrong", wrong, verdict(wrong, run="r1"))
    zuul.files["/logs/wrong/bsdgate/verdict.json"] += b" "
    broker.publish(message)
    running.until("wrong: posted")
    (text,) = server.messages(wrong)
    assert "another digest" in text
    assert server.vote(wrong) == 0
    zuul.logs_unavailable = True
    asked = len(zuul.asked)
    broker.publish(zuul.add("late", late, verdict(late, run="r2")))
    for _ in range(2):
        wait_for(partial(has_log_request, zuul, asked), "a request for the logs")
        asked = len(zuul.asked)
    assert server.messages(late) == []
    zuul.logs_unavailable = False
    running.until("late: posted")
    assert server.vote(late) == 1


@pytest.mark.parametrize("broker", [True], indirect=True)
def test_the_certificate_of_the_broker_is_checked(
    server: Gerrit, zuul: Zuul, broker: Broker, listener: Listener, tmp_path: Path
) -> None:
    change = server.new_change()
    listener.settings["broker"]["ca"] = str(mosquitto.certificate(tmp_path))
    listener.start()
    assert "certificate verify failed" in listener.until("no connection to the broker")
    listener.end()
    listener.settings["broker"]["ca"] = str(broker.ca)
    listener.start()
    listener.until(CONNECTED)
    broker.publish(zuul.add("b1", change, verdict(change)))
    listener.until("b1: posted")
    assert server.vote(change) == 1


CONFIG_ERROR = """Zuul encountered a syntax error while parsing its
configuration in the repo demo on branch master.  The
problem was:

  extra keys not allowed @ data['play']

The error appears in the following job stanza:

  job:
    name: own
    play: run.yaml

  in "demo/zuul.yaml@master", line 1
"""


def test_a_configuration_error_of_a_change_is_one_comment_on_its_line(
    server: Gerrit, zuul: Zuul, broker: Broker, running: Listener
) -> None:
    about = {"project": PROJECT, "branch": "master", "subject": "A broken job"}
    head = "--- /dev/null\n+++ b/zuul.yaml\n@@ -0,0 +1,3 @@\n"
    lines = "+- job:\n+    name: own\n+    play: run.yaml\n"
    change = server.admin("POST", "/changes/", {**about, "patch": {"patch": head + lines}})
    own, other = change["_number"], server.new_change()
    for uuid, number in (("own", own), ("other", other)):
        broker.publish(zuul.add(uuid, number, None, result="CONFIG_ERROR", message=CONFIG_ERROR))
        running.until(f"{uuid}: posted")
    (text,) = server.messages(own)
    assert "FAIL: Zuul's configuration is wrong, in a line of this change." in text
    assert len(text.splitlines()) <= 25
    ((path, (comment,)),) = server.comments(own).items()
    assert (path, comment["line"]) == ("zuul.yaml", 1)
    assert "extra keys not allowed @ data['play']" in comment["message"]
    assert (server.vote(own), server.vote(other)) == (-1, 0)
    assert server.comments(other) == {}


def test_a_wrong_configuration_names_file_line_and_value(
    tmp_path: Path, listener: Listener
) -> None:
    listener.settings["zuul"]["logs"] = ["https://logs.example.org/logs"]
    listener.start()
    line = listener.until("it must end with a slash")
    assert f"{tmp_path / 'listen.yaml'}:" in line
    assert os.fspath(listener.folder) in line
