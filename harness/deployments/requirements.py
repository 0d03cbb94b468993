# SPDX-License-Identifier: Apache-2.0
"""Checks a standing cloud before a run: an admin user, the profile's services, enough quota."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from bsdgate.harness.deployments.connection import Identity
from bsdgate.harness.deployments.inventory import Api
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.profiles.model import Profile

TYPES: Final = MappingProxyType(
    {
        "keystone": "identity",
        "glance": "image",
        "placement": "placement",
        "neutron": "network",
        "nova": "compute",
        "ironic": "baremetal",
    }
)
"""The type in the catalogue of each service in profiles."""

NEEDED: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType(
    {
        "compute": {"instances": 4, "cores": 4, "ram": 1024},
        "network": {
            "network": 5,
            "subnet": 8,
            "port": 20,
            "router": 4,
            "floatingip": 4,
            "security_group": 8,
            "security_group_rule": 40,
        },
    }
)
"""The number of resources that the largest class of the suite smoke makes in one project."""

_ANSWERS: Final = MappingProxyType(
    {
        "identity": "/auth/catalog",
        "image": "/images?limit=1",
        "placement": "/",
        "network": "/networks?limit=1",
        "compute": "/flavors?limit=1",
        "baremetal": "/nodes?limit=1",
    }
)
"""A request that every user may send, by the type of the service."""
_OK: Final = 200
_QUOTAS: Final = MappingProxyType(
    {
        "compute": ("/os-quota-class-sets/default", "quota_class_set"),
        "network": ("/quotas/default/default", "quota"),
    }
)
UNLIMITED: Final = -1


class CloudApi(Api, Protocol):
    """The parts of a connection that these checks use."""

    def identify(self) -> Identity:
        """Get a new token; return the roles and domains of the user."""

    def has(self, service: str) -> bool:
        """Return whether the catalogue has a service of this type."""


def check(api: CloudApi, cloud: str, profile: Profile, *, accounts: bool) -> Identity:
    """Check all requirements; return the roles and domains of the user.

    :raises UsageError: the credentials or the profile do not fit the cloud.
    :raises InfrastructureError: a service does not answer, or the quota is too small.
    """
    identity = api.identify()
    if "admin" not in identity.roles and not accounts:
        raise UsageError(
            f"the user of the cloud {cloud!r} is not an admin: it has the roles"
            f" {', '.join(sorted(identity.roles)) or 'none'}",
            "choose an entry of clouds.yaml with the role admin, or give accounts by --accounts",
        )
    services = [TYPES[name] for name in profile.services]
    _check_services(api, cloud, profile, services)
    if "baremetal" in services:
        _check_driver(api, cloud, profile, accounts=accounts)
    if not accounts:
        _check_quotas(api, cloud, services)
    return identity


def _check_services(api: CloudApi, cloud: str, profile: Profile, services: Iterable[str]) -> None:
    missing = [each for each in services if not api.has(each)]
    if missing:
        raise UsageError(
            f"the catalogue of the cloud {cloud!r} has no {', '.join(missing)},"
            f" which the profile {profile.name} contains",
            "choose a --profile that has only the services of this cloud",
        )
    for each in services:
        status, _ = api.call(each, "GET", _ANSWERS[each])
        if status != _OK:
            raise InfrastructureError(
                f"the service {each} of the cloud {cloud!r} answers with status {status}",
                "see the log of the service, or choose a profile without it",
            )


def _check_driver(api: CloudApi, cloud: str, profile: Profile, *, accounts: bool) -> None:
    """Check that Ironic has the driver with which the tests enroll nodes."""
    wanted = profile.overrides().get("baremetal.driver")
    status, document = api.call("baremetal", "GET", "/drivers")
    if status != _OK and accounts:
        return
    if status != _OK:
        raise UsageError(
            f"Ironic of the cloud {cloud!r} does not list its drivers for the user:"
            f" status {status}",
            "give the user the role admin of the system:"
            " `openstack role add --system all --user USER admin`",
        )
    drivers = sorted(each["name"] for each in document["drivers"])
    if wanted is not None and wanted not in drivers:
        raise UsageError(
            f"Ironic of the cloud {cloud!r} has no driver {wanted!r}, which the profile"
            f" {profile.name} requires; Ironic has {', '.join(drivers) or 'none'}",
            "enable the driver, or choose another --profile",
        )


def _check_quotas(api: CloudApi, cloud: str, services: Iterable[str]) -> None:
    """Check the default quota, which new projects have."""
    small = [
        f"{name} of {service} is {quota[name]}, but {count} are needed"
        for service in services
        if service in NEEDED
        for quota in [_quota(api, service)]
        for name, count in NEEDED[service].items()
        if UNLIMITED < quota.get(name, UNLIMITED) < count
    ]
    if small:
        raise InfrastructureError(
            f"the default quota of the cloud {cloud!r} is too small: {'; '.join(small)}",
            "raise the default quota, or give accounts with a larger quota by --accounts",
        )


def _quota(api: CloudApi, service: str) -> Mapping[str, Any]:
    path, key = _QUOTAS[service]
    status, document = api.call(service, "GET", path)
    # A user who may not read the quota gets no check: the tests will fail instead.
    return document[key] if status == _OK else {}
