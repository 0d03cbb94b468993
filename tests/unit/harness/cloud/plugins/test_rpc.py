# SPDX-License-Identifier: Apache-2.0
"""The RPC driver under oslo.messaging's own client and server."""

import time
from collections.abc import Iterator
from typing import Any

import oslo_messaging
import pytest
from oslo_config import cfg

from bsdgate.harness.cloud.plugins import rpc

pytestmark = pytest.mark.filterwarnings("ignore")

POLL_INTERVAL = 0.05
"""The poll interval of oslo.messaging's fake driver, in seconds."""


class Endpoint:
    """Replies to calls, and records casts."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def double(self, _context: dict[str, Any], number: int) -> int:
        return 2 * number

    def remember(self, _context: dict[str, Any], what: str) -> None:
        self.seen.append(what)

    def fail(self, _context: dict[str, Any]) -> None:
        raise ValueError("as asked")


@pytest.fixture
def transport() -> Iterator[Any]:
    """Yield the transport as a service gets it: by the scheme of the transport URL."""
    cfg.CONF([])
    yield oslo_messaging.get_rpc_transport(cfg.CONF, url="bsdgate://")
    rpc.WakingExchangeManager.cleanup()
    cfg.CONF.reset()


@pytest.fixture
def endpoint(transport: Any) -> Iterator[Endpoint]:
    endpoint = Endpoint()
    target = oslo_messaging.Target(topic="topic", server="here")
    server = oslo_messaging.get_rpc_server(transport, target, [endpoint], executor="threading")
    server.start()
    yield endpoint
    server.stop()
    server.wait()


@pytest.fixture
def client(transport: Any) -> Any:
    target = oslo_messaging.Target(topic="topic")
    return oslo_messaging.get_rpc_client(transport, target, timeout=5)


def test_a_call_is_answered(endpoint: Endpoint, client: Any) -> None:
    assert client.call({}, "double", number=21) == 42


def test_a_call_to_one_server_is_answered(endpoint: Endpoint, client: Any) -> None:
    assert client.prepare(server="here").call({}, "double", number=1) == 2


def test_calls_do_not_wait_for_a_poll(endpoint: Endpoint, client: Any) -> None:
    client.call({}, "double", number=0)
    began = time.monotonic()
    for number in range(20):
        client.call({}, "double", number=number)
    assert time.monotonic() - began < 20 * POLL_INTERVAL / 2


def test_a_fanout_reaches_the_server(endpoint: Endpoint, client: Any) -> None:
    client.prepare(fanout=True).cast({}, "remember", what="x")
    client.prepare(server="here").call({}, "double", number=1)  # comes after it in the queue
    assert endpoint.seen == ["x"]


def test_an_error_is_raised_in_the_client(endpoint: Endpoint, client: Any) -> None:
    with pytest.raises(ValueError, match="as asked"):
        client.call({}, "fail")


def test_no_server_is_a_timeout(transport: Any, client: Any) -> None:
    with pytest.raises(oslo_messaging.MessagingTimeout):
        client.prepare(timeout=0.05).call({}, "double", number=1)


def test_a_stopped_listener_returns_at_once(transport: Any) -> None:
    target = oslo_messaging.Target(topic="quiet", server="here")
    listener = transport._driver.listen(target, 1, None)._poll_style_listener
    listener.stop()
    assert listener.poll(timeout=60) == []
