# SPDX-License-Identifier: Apache-2.0
"""The connection to the MQTT broker. A message is acknowledged after it is on the disk."""

import ssl
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from bsdgate.harness.errors import ConfigurationError
from bsdgate.harness.listen.settings import Broker
from bsdgate.harness.reviews.credentials import Credentials
from bsdgate.results.errors import BsdgateError

QOS: Final = 1
KEEPALIVE: Final = 30
_LONGEST_PAUSE: Final = 30


class Connection:
    """A client with a fixed id and a lasting session.

    The broker keeps messages while the client is not connected.

    ``store`` gets each message, in another thread; the message is acknowledged when it returns. If
    it raises, the connection is made anew, so that the broker sends the message again.
    """

    def __init__(
        self,
        broker: Broker,
        credentials: Credentials,
        store: Callable[[bytes], None],
        report: Callable[[str], None],
    ) -> None:
        """Connect to no broker yet.

        :raises ConfigurationError: the file of certificates cannot be used.
        """
        self._broker: Final = broker
        self._store: Final = store
        self._report: Final = report
        self.connected: Final = threading.Event()
        """Set while the broker has accepted all subscriptions."""
        self._client: Final = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            clean_session=False,
            manual_ack=True,
        )
        self._client.username_pw_set(credentials.user, credentials.password)
        self._client.reconnect_delay_set(1, _LONGEST_PAUSE)
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = self._subscribed
        self._client.on_disconnect = self._disconnected
        self._client.on_connect_fail = self._failed
        self._client.on_message = self._keep
        if broker.ca is not None:
            try:
                self._client.tls_set(str(broker.ca))
            except (OSError, ssl.SSLError) as error:
                raise ConfigurationError(
                    f"cannot use the certificates {broker.ca}: {error}", "correct broker.ca"
                ) from error

    def start(self) -> None:
        """Connect, and connect again whenever the connection is lost, in another thread."""
        self._client.connect_async(self._broker.host, self._broker.port, KEEPALIVE)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect. The session stays in the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def _subscribe(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _more: Any
    ) -> None:
        if reason.is_failure:
            self._report(f"the broker {self._name} refuses the connection: {reason}")
            return
        client.subscribe([(topic, QOS) for topic in self._broker.topics])

    def _subscribed(
        self, _client: mqtt.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _more: Any
    ) -> None:
        refused = [
            topic
            for topic, reason in zip(self._broker.topics, reasons, strict=False)
            if reason.is_failure
        ]
        if refused:
            self._report(f"the broker {self._name} refuses the topics {', '.join(refused)}")
            return
        self._report(f"connected to the broker {self._name}")
        self.connected.set()

    def _disconnected(
        self, _client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _more: Any
    ) -> None:
        if self.connected.is_set():
            self._report(f"the connection to the broker {self._name} has ended: {reason}")
        self.connected.clear()

    def _failed(self, _client: mqtt.Client, _data: Any) -> None:
        # The client calls this where it handles the exception.
        self._report(f"no connection to the broker {self._name}: {sys.exception()}; trying again")

    def _keep(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            self._store(bytes(message.payload))
        except (BsdgateError, OSError) as error:
            self._report(f"a message could not be stored, and stays in the broker: {error}")
            client.reconnect()
            return
        client.ack(message.mid, message.qos)

    @property
    def _name(self) -> str:
        return f"{self._broker.host}:{self._broker.port}"
