# SPDX-License-Identifier: Apache-2.0
"""Checks whether a cloud is ready: requests a token, then a list from each service.

Without Keystone there is no token: each request contains the password.
"""

import base64
import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from bsdgate.harness.cloud.spec import ADMIN, CloudSpec

LISTS = {
    "placement": ("/resource_providers", "resource_providers"),
    "glance": ("/v2/images", "images"),
    "neutron": ("/v2.0/networks", "networks"),
    "nova": ("/v2.1/servers", "servers"),
    "ironic": ("/v1/nodes", "nodes"),
}
"""The path of a list and its key in the answer, by service."""


def check(spec: CloudSpec) -> None:
    """Raise RuntimeError, with the service and its answer, if a service does not answer."""
    headers = _credentials(spec)
    for service, (path, key) in LISTS.items():
        if not spec.has(service):
            continue
        url = f"{spec.url(service)}{path}"
        request = urllib.request.Request(url, headers=headers)
        _, body = _ask(request, spec.limits.start)
        if key not in body:
            raise RuntimeError(f"{service} answered GET {url} without {key!r}")


def _credentials(spec: CloudSpec) -> dict[str, str]:
    """Return the headers that authenticate the admin: with a token, if there is Keystone."""
    if spec.has("keystone"):
        return {"X-Auth-Token": _issue_token(spec)}
    basic = base64.b64encode(f"{ADMIN}:{spec.passwords[ADMIN]}".encode()).decode()
    return {"Authorization": f"Basic {basic}"}


def _issue_token(spec: CloudSpec) -> str:
    """Return a token of the cloud's admin, with the scope of the project admin."""
    user = {
        "name": ADMIN,
        "domain": {"id": "default"},
        "password": spec.passwords[ADMIN],
    }
    scope = {"project": {"name": ADMIN, "domain": {"id": "default"}}}
    identity = {"methods": ["password"], "password": {"user": user}}
    data = json.dumps({"auth": {"identity": identity, "scope": scope}}).encode()
    request = urllib.request.Request(
        f"{spec.url('keystone')}/v3/auth/tokens",
        data=data,
        headers={"Content-Type": "application/json"},
    )
    headers, _ = _ask(request, spec.limits.start)
    return str(headers["X-Subject-Token"])


def _ask(request: urllib.request.Request, timeout: float) -> tuple[Any, dict[str, Any]]:
    # Only an HTTP answer proves that the service works: the listener always accepts connections.
    # No proxy, because the address is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as answer:
            return answer.headers, json.load(answer)
    except urllib.error.HTTPError as error:
        raise RuntimeError(
            f"{request.get_method()} {request.full_url} answered {error.code}: "
            f"{error.read(500).decode(errors='replace')}"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise RuntimeError(
            f"{request.get_method()} {request.full_url} has no answer: {error!r}"
        ) from error
