# SPDX-License-Identifier: Apache-2.0
"""A client of the broker that keeps what it receives."""

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from functional.place import TIMEOUT
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

Report = dict[str, Any]


@dataclass
class Subscriber:
    """The reports that Zuul has published, in their order."""

    reports: list[Report] = field(default_factory=list)
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    def add(self, report: Report) -> None:
        with self._arrived:
            self.reports.append(report)
            self._arrived.notify_all()

    def of(self, change: int, *actions: str) -> list[Report]:
        """Return the reports of a change that have one of these actions, without any: all."""
        return [
            each
            for each in list(self.reports)
            if str(each["change"]) == str(change) and (not actions or each["action"] in actions)
        ]

    def wait(self, change: int, *actions: str, count: int = 1, timeout: float = TIMEOUT) -> Report:
        """Wait for that many reports of a change with one of these actions; return the last."""
        deadline = time.monotonic() + timeout
        with self._arrived:
            while len(found := self.of(change, *actions)) < count:
                left = deadline - time.monotonic()
                actual = [each["action"] for each in self.of(change)]
                assert left > 0, f"change {change}: {actual} and not {actions} within {timeout:g} s"
                self._arrived.wait(left)
        return found[count - 1]


@contextlib.contextmanager
def connected(port: int, account: tuple[str, str] | None) -> Iterator[tuple[Client, ReasonCode]]:
    """Connect to the broker; give the client, and the broker's answer."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    answers: queue.Queue[ReasonCode] = queue.Queue()
    client.on_connect = lambda *given: answers.put(given[3])
    if account:
        client.username_pw_set(*account)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield client, answers.get(timeout=TIMEOUT)
    finally:
        client.disconnect()
        client.loop_stop()


@contextlib.contextmanager
def subscribed(port: int, account: tuple[str, str]) -> Iterator[Subscriber]:
    """Read what Zuul publishes."""
    subscriber = Subscriber()
    with connected(port, account) as (client, answer):
        assert not answer.is_failure, answer
        client.on_message = _adding(subscriber)
        subscribing: queue.Queue[list[ReasonCode]] = queue.Queue()
        client.on_subscribe = lambda *given: subscribing.put(given[3])
        client.subscribe("zuul/#", qos=1)
        codes = subscribing.get(timeout=TIMEOUT)
        assert not any(code.is_failure for code in codes), codes
        yield subscriber


def _adding(subscriber: Subscriber) -> Callable[[Client, Any, MQTTMessage], None]:
    return lambda client, data, message: subscriber.add(json.loads(message.payload))


def publish(port: int, account: tuple[str, str], topic: str, report: Report) -> ReasonCode:
    """Publish a report; return the broker's answer to it."""
    answers: queue.Queue[ReasonCode] = queue.Queue()
    with connected(port, account) as (client, answer):
        assert not answer.is_failure, answer
        client.on_publish = lambda *given: answers.put(given[3])
        client.publish(topic, json.dumps(report), qos=1)
        return answers.get(timeout=TIMEOUT)


NOT_AUTHORIZED = ReasonCode(PacketTypes.PUBACK, "Not authorized")
