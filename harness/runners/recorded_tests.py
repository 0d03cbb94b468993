# SPDX-License-Identifier: Apache-2.0
"""stestr's ``subunit_runner``, which also records requests and adds the prefix to all names.

``python -m`` this module replaces ``python -m stestr.subunit_runner.run``. Tempest itself uses the
prefix only for some resources: ``rand_name`` has another default prefix, and so have the users and
projects of dynamic credentials.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stestr.subunit_runner.run import main
from tempest import config
from tempest.common import credentials_factory
from tempest.lib.common import rest_client
from tempest.lib.common.utils import data_utils

from bsdgate.harness.request_log import VARIABLE, RequestLog

Send = Callable[..., tuple[Any, Any]]


def recorded(send: Send, log: RequestLog) -> Send:
    """Return a ``RestClient.raw_request`` that writes each request to the log."""

    def raw_request(client: Any, url: str, method: str, *rest: Any, **named: Any) -> Any:
        body = named["body"] if "body" in named else (rest[1:2] or (None,))[0]
        identity = log.begin(method, url, body)
        answer, content = send(client, url, method, *rest, **named)
        if identity is not None:
            log.end(identity, method, url, answer.status, content)
        return answer, content

    return raw_request


def use_prefix(prefix: str) -> None:
    """Use the prefix for all random names and for dynamic credentials."""
    data_utils.rand_name.__defaults__ = ("", prefix)
    parameters = credentials_factory.get_dynamic_provider_params

    def with_prefix(*arguments: Any, **named: Any) -> Mapping[str, Any]:
        return {**parameters(*arguments, **named), "resource_prefix": prefix}

    credentials_factory.get_dynamic_provider_params = with_prefix


if __name__ == "__main__":
    log = RequestLog(Path(os.environ[VARIABLE]))
    rest_client.RestClient.raw_request = recorded(rest_client.RestClient.raw_request, log)
    use_prefix(config.CONF.resource_name_prefix)
    main()
