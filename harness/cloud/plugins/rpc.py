# SPDX-License-Identifier: Apache-2.0
"""RPC inside one process, without polling (entry point ``oslo.messaging.drivers``).

oslo.messaging's in-memory ``fake`` driver polls its queues every 50 ms, so a call
and its reply take up to a tenth of a second. This driver is derived from it and
wakes the listeners when a message is delivered.

Differences from a real broker: no message leaves the process or outlives it, and
a message without a listener is not returned to its sender.
"""

import threading
import time
from typing import Any

import oslo_messaging
from oslo_messaging._drivers import base, impl_fake

_delivered = threading.Condition()
"""Notified at each delivery: there are few listeners, so all share one condition."""


class WakingExchange(impl_fake.FakeExchange):
    """An exchange that wakes the listeners when a message arrives."""

    def deliver_message(self, *args: Any, **kwargs: Any) -> None:
        """Queue the message (arguments as in the base class), then wake the listeners."""
        super().deliver_message(*args, **kwargs)
        with _delivered:
            _delivered.notify_all()


class WakingExchangeManager(impl_fake.FakeExchangeManager):
    """The exchanges of this process by name."""

    _exchanges: dict[str, WakingExchange] = {}  # noqa: RUF012 - as in the base class

    def get_exchange(self, name: str | None) -> WakingExchange:
        """Return the exchange of that name; make it at the first use."""
        name = name or self._default_exchange
        with self._exchanges_lock:
            if name not in self._exchanges:
                self._exchanges[name] = WakingExchange(name)
            return self._exchanges[name]


class WakingListener(impl_fake.FakeListener):
    """A listener that sleeps until a message is delivered."""

    @base.batch_poll_helper
    def poll(self, timeout: float | None = None) -> impl_fake.FakeIncomingMessage | None:
        """Return the next message, or None after ``timeout`` seconds or a stop."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with _delivered:
            while not self._stopped.is_set():
                message = self._take()
                if message is not None:
                    return message
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                _delivered.wait(left)
        return None

    def _take(self) -> impl_fake.FakeIncomingMessage | None:
        for target in self._targets:
            exchange = self._exchange_manager.get_exchange(target.exchange)
            context, message, reply_queue, requeue = exchange.poll(target, self._pool)
            if message is not None:
                return impl_fake.FakeIncomingMessage(context, message, reply_queue, requeue)
        return None

    def stop(self) -> None:
        """Stop listening; a waiting poll returns immediately."""
        super().stop()
        with _delivered:
            _delivered.notify_all()


class WakingDriver(impl_fake.FakeDriver):
    """The driver of oslo.messaging for URLs ``bsdgate://``: a message wakes the listeners."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of every oslo.messaging driver."""
        super().__init__(*args, **kwargs)
        self._exchange_manager = WakingExchangeManager(self._default_exchange)

    def listen(
        self, target: oslo_messaging.Target, batch_size: int, batch_timeout: float | None
    ) -> base.PollStyleListenerAdapter:
        """Listen to the queue of the server and to the queue of its topic."""
        exchange = target.exchange or self._default_exchange
        targets = [
            oslo_messaging.Target(topic=target.topic, server=target.server, exchange=exchange),
            oslo_messaging.Target(topic=target.topic, exchange=exchange),
        ]
        return self._listen(targets, None, batch_size, batch_timeout)

    def listen_for_notifications(
        self, targets_and_priorities: Any, pool: Any, batch_size: int, batch_timeout: float | None
    ) -> base.PollStyleListenerAdapter:
        """Listen to the topics of notifications, one per priority."""
        targets = [
            oslo_messaging.Target(topic=f"{target.topic}.{priority}", exchange=target.exchange)
            for target, priority in targets_and_priorities
        ]
        return self._listen(targets, pool, batch_size, batch_timeout)

    def _listen(
        self, targets: list[Any], pool: Any, batch_size: int, batch_timeout: float | None
    ) -> base.PollStyleListenerAdapter:
        listener = WakingListener(self._exchange_manager, targets, pool)
        return base.PollStyleListenerAdapter(listener, batch_size, batch_timeout)
