# SPDX-License-Identifier: Apache-2.0
"""The connection to a cloud in clouds.yaml, by openstacksdk."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final

from bsdgate.harness.errors import ConfigurationError, InfrastructureError, UsageError

TIMEOUT: Final = 60.0
"""The maximum number of seconds for an answer of a service, for a cloud of usual speed."""
_LATEST: Final = frozenset({"compute", "baremetal"})
_OF_SYSTEM: Final = frozenset({"baremetal"})
_USER: Final = ("auth_url", "username", "password", "user_domain_id", "user_domain_name")
_NEEDED: Final = ("auth_url", "username", "password", "project_name")


class RefusedError(InfrastructureError):
    """The cloud refuses the credentials."""


@dataclass(frozen=True)
class CloudEntry:
    """An entry of clouds.yaml; ``content`` includes the fields from secure.yaml."""

    name: str
    content: Mapping[str, Any]

    @property
    def auth_url(self) -> str:
        """The URL of Keystone."""
        return str(self.content["auth"]["auth_url"])


@dataclass(frozen=True)
class Identity:
    """The roles of the user in the token, and the domains of the user and the project."""

    roles: frozenset[str]
    user_domain: str = "Default"
    project_domain: str = "Default"


def entry(name: str) -> CloudEntry:
    """Return the entry with a name in the user's clouds.yaml.

    :raises UsageError: there is no such entry, or it has no user name and password.
    :raises ConfigurationError: a file cannot be read.
    """
    from openstack import config
    from openstack.exceptions import ConfigException

    try:
        found = config.OpenStackConfig()
    # openstacksdk does not check the types of values.
    except (ConfigException, OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"clouds.yaml cannot be read: {error}", "fix the file") from error
    file = found.config_filename
    clouds = found.cloud_config["clouds"] if file else {}
    if name not in clouds:
        raise UsageError(
            f"there is no cloud {name!r} in {file or 'clouds.yaml: no such file could be read'}",
            f"known: {', '.join(sorted(clouds)) or 'none'}; to use another file, set"
            " OS_CLIENT_CONFIG_FILE",
        )
    content = _plain(clouds[name])
    auth = content.get("auth") if isinstance(content, dict) else None
    missing = [each for each in _NEEDED if not isinstance(auth, dict) or each not in auth]
    if missing:
        raise UsageError(
            f"the cloud {name!r} in clouds.yaml has no {', '.join(missing)} in auth",
            "add the password of a user: Tempest accepts no other kind of credentials",
        )
    return CloudEntry(name, content)


def _plain(value: Any) -> Any:
    return {key: _plain(each) for key, each in value.items()} if isinstance(value, dict) else value


@dataclass
class CloudConnection:
    """Sends requests to a cloud. For one thread only.

    ``timeout`` is the maximum number of seconds for an answer of a service.
    """

    name: str
    timeout: float = TIMEOUT

    @cached_property
    def _sdk(self) -> Any:
        import openstack

        return openstack.connect(cloud=self.name, api_timeout=self.timeout)

    @cached_property
    def _system(self) -> Any:
        """A connection with system scope, for Ironic; with project scope if that is refused."""
        import openstack
        from keystoneauth1 import exceptions, session
        from keystoneauth1.identity import v3

        given = self._sdk.config.get_auth_args()
        user = {name: value for name, value in given.items() if name in _USER}
        found = session.Session(
            v3.Password(**user, system_scope="all"),
            verify=self._sdk.session.verify,
            cert=self._sdk.session.cert,
            timeout=self.timeout,
        )
        try:
            found.get_token()
        except exceptions.ClientException:
            return self._sdk
        region = self._sdk.config.region_name
        return openstack.connection.Connection(session=found, region_name=region)

    def identify(self) -> Identity:
        """Get a new token; return the roles and domains of the user.

        :raises RefusedError: the cloud refuses the credentials.
        :raises InfrastructureError: Keystone does not answer.
        """
        from keystoneauth1 import exceptions

        session = self._sdk.session
        session.auth.invalidate()
        try:
            access = session.auth.get_access(session)
        except exceptions.Unauthorized as error:
            raise _refused(self.name, error) from error
        except exceptions.ClientException as error:
            raise InfrastructureError(
                f"Keystone of the cloud {self.name!r} does not answer: {error}",
                "check auth_url in clouds.yaml and the network",
            ) from error
        return Identity(
            frozenset(access.role_names),
            access.user_domain_name or "Default",
            access.project_domain_name or "Default",
        )

    def has(self, service: str) -> bool:
        """Return whether the catalogue has a service of this type."""
        return self._sdk.config.get_session_endpoint(service) is not None

    def call(self, service: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request; return the status and the JSON document of the answer."""
        answer = self._request(service, method, path, {} if body is None else {"json": body})
        return answer.status_code, _document(answer)

    def upload(self, image: str, content: bytes) -> None:
        """Upload the content of an image.

        :raises InfrastructureError: the cloud refuses it.
        """
        headers = {"Content-Type": "application/octet-stream"}
        given = {"data": content, "headers": headers}
        answer = self._request("image", "PUT", f"/images/{image}/file", given)
        if answer.status_code != HTTPStatus.NO_CONTENT:
            raise InfrastructureError(
                f"the cloud {self.name!r} refuses the content of the image {image}:"
                f" status {answer.status_code}",
                "check the rights and the quota of the user",
            )

    def _request(self, service: str, method: str, path: str, content: Mapping[str, Any]) -> Any:
        """Send a request and return the answer.

        :raises RefusedError: the cloud refuses the credentials.
        :raises InfrastructureError: the service does not answer.
        """
        from keystoneauth1 import exceptions

        version = {"microversion": "latest"} if service in _LATEST else {}
        try:
            proxy = getattr(self._system if service in _OF_SYSTEM else self._sdk, service)
            answer = proxy.request(path, method, raise_exc=False, **content, **version)
        except exceptions.Unauthorized as error:
            raise _refused(self.name, error) from error
        except exceptions.ClientException as error:
            raise InfrastructureError(
                f"the service {service} of the cloud {self.name!r} does not answer: {error}",
                "start the service, or choose a profile without it",
            ) from error
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise _refused(self.name, f"{service} answers {answer.status_code}")
        return answer

    def close(self) -> None:
        """Close the connections."""
        made = [each for name, each in vars(self).items() if name in {"_sdk", "_system"}]
        for each in {id(each): each for each in made}.values():
            each.close()


def _refused(name: str, error: object) -> RefusedError:
    return RefusedError(
        f"the cloud {name!r} refuses the credentials: {error}",
        "check the user and the password in clouds.yaml",
    )


def _document(answer: Any) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
