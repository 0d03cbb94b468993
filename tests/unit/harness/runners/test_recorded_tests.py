# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.runners.recorded_tests."""

import shlex
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bsdgate.harness import request_log
from bsdgate.harness.request_log import RequestLog
from bsdgate.harness.runners.tempest_worker import QuotedProcessor

with warnings.catch_warnings():
    # Tempest imports its deprecated clients.
    warnings.simplefilter("ignore", DeprecationWarning)
    from tempest.common import credentials_factory
    from tempest.lib.common.utils import data_utils

    from bsdgate.harness.runners import recorded_tests

ID = "0123456789abcdef0123456789abcdef"


def test_the_id_is_recorded_before_the_test_gets_it(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "requests.jsonl")
    seen: list[int] = []

    def send(_client: Any, _url: str, _method: str, **_named: Any) -> Any:
        seen.append(len(request_log.read(log.path)))
        return SimpleNamespace(status=201), f'{{"user": {{"id": "{ID}"}}}}'

    raw_request = recorded_tests.recorded(send, log)
    answer, content = raw_request(None, "http://x/v3/users", "POST", body="{}")
    assert (answer.status, ID in content, seen) == (201, True, [1])
    assert [each.made for each in request_log.read(log.path)] == [(ID,)]


@pytest.mark.parametrize("named", [False, True])
def test_the_body_is_found_as_any_kind_of_argument(tmp_path: Path, named: bool) -> None:
    log = RequestLog(tmp_path / "requests.jsonl")

    def send(*_: Any, **__: Any) -> Any:
        return SimpleNamespace(status=202), ""

    body = f'{{"server": "{ID}"}}'
    raw_request = recorded_tests.recorded(send, log)
    if named:
        raw_request(None, "http://x/y", "POST", headers={}, body=body)
    else:
        raw_request(None, "http://x/y", "POST", {}, body)
    (found,) = request_log.read(log.path)
    assert ID in found.names


def test_every_random_name_begins_with_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_utils.rand_name, "__defaults__", data_utils.rand_name.__defaults__)
    monkeypatch.setattr(
        credentials_factory, "get_dynamic_provider_params", lambda _: {"resource_prefix": "x"}
    )
    recorded_tests.use_prefix("mine-r1234")
    assert data_utils.rand_name("net").startswith("mine-r1234-net-")
    assert credentials_factory.get_dynamic_provider_params("v3") == {
        "resource_prefix": "mine-r1234"
    }


def test_requests_are_recorded_if_there_is_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    template = "${PYTHON} -m stestr.subunit_runner.run discover"
    python = shlex.quote(sys.executable)
    plain = QuotedProcessor([], template, "", "", None).template
    monkeypatch.setenv(request_log.VARIABLE, "/x/requests.jsonl")
    recorded = QuotedProcessor([], template, "", "", None).template
    assert plain == f"{python} -m stestr.subunit_runner.run discover"
    assert recorded == f"{python} -m {recorded_tests.__name__} discover"
