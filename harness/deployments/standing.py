# SPDX-License-Identifier: Apache-2.0
"""A standing cloud: a cloud that bsdgate neither starts nor ends.

A run makes only resources with its prefix, records each id before it uses the resource, and removes
no other resources. It compares all other resources before and after the run.
"""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from bsdgate.harness import files, folders, paths, request_log
from bsdgate.harness.deployments import audit, inventory, requirements
from bsdgate.harness.deployments.base import (
    Access,
    ForRunner,
    HostCheckTarget,
    Installed,
    ReportEvent,
    ReportLine,
)
from bsdgate.harness.deployments.connection import CloudEntry, Identity, RefusedError
from bsdgate.harness.deployments.inventory import Inventory, Resource
from bsdgate.harness.deployments.ownership import (
    BASELINE,
    REQUESTS,
    Mark,
    Ownership,
    interrupted,
    run_prefix,
)
from bsdgate.harness.deployments.sweep import sweep
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.manifest import AskedCloud
from bsdgate.harness.profiles.model import Profile
from bsdgate.harness.request_log import RequestLog
from bsdgate.results.codes import Code
from bsdgate.results.problems import Finding, Problem

ANSWER_TIMEOUT: Final = 30.0
"""The number of seconds without an answer after which a cloud of usual speed is lost."""
IMAGE_BYTES: Final = 64 * 1024
FLAVORS: Final = {"compute.flavor_ref": ("nano", 128), "compute.flavor_ref_alt": ("micro", 192)}
"""The options of tempest.conf for flavors, with a name and the memory in MiB."""
IMAGES: Final = {"compute.image_ref": "image", "compute.image_ref_alt": "image-alt"}
"""The options of tempest.conf for images, with a name."""
_CREATED: Final = range(200, 300)


class CloudClient(requirements.CloudApi, Protocol):
    """The connection to the cloud."""

    def upload(self, image: str, content: bytes) -> None:
        """Upload the content of an image."""

    def close(self) -> None:
        """Close the connection."""


@dataclass
class Standing:
    """A cloud in clouds.yaml.

    ``folder`` is the run directory; the parent directory contains the earlier runs.
    """

    cloud: CloudClient
    entry: CloudEntry
    asked: AskedCloud
    profile: Profile
    folder: Path
    run_id: str
    changed: bool = field(default=False, init=False)
    _identity: Identity = field(default=Identity(frozenset()), init=False)
    _options: dict[str, str] = field(default_factory=dict, init=False)
    _lock: int | None = field(default=None, init=False)
    _report_line: ReportLine = field(default=print, init=False)
    _answered: float = field(default=0.0, init=False)

    def install(self, report_line: ReportLine) -> Installed:
        """Check that the run can use the cloud. Nothing is installed, and no version is known."""
        self._report_line = report_line
        given = self.asked.accounts is not None
        self._identity = requirements.check(
            self.cloud, self.asked.name, self.profile, accounts=given
        )
        return Installed({})

    def start(self, report: ReportEvent) -> Access:
        """Clean up after interrupted runs, take the inventory, make resources for the tests."""
        del report  # no service is started
        self._lock = self._take_lock()
        mark = Mark(self.entry.auth_url, self.asked.prefix)
        found = self._remove_left(interrupted(self.folder.parent, mark))
        mark.write(self.folder)
        if inventory.read(self.folder / BASELINE) is None:
            inventory.write(self.folder / BASELINE, found)
        self._options = self._prepare()
        self._answered = time.monotonic()
        # The accounts were checked when the run began; the runner checks them again.
        given = self.asked.accounts
        return Access(self.entry.content, yaml.safe_load(given.read_bytes()) if given else None)

    def health(self) -> Sequence[Problem]:
        """Return a problem if the cloud no longer answers or refuses the credentials."""
        try:
            self.cloud.identify()
        except RefusedError as error:
            return [Problem(Code.CLOUD_LOST, error.message)]
        except InfrastructureError as error:
            limit = ANSWER_TIMEOUT * self.profile.factor
            late = time.monotonic() - self._answered > limit
            return [Problem(Code.CLOUD_LOST, error.message)] if late else ()
        self._answered = time.monotonic()
        return ()

    def host_checks(self) -> HostCheckTarget | None:
        """Return None: bsdgate does not check the machines of others."""
        return None

    def for_runner(self) -> ForRunner:
        """Return the prefix and the resources for tests; python-tempestconf must make none."""
        return ForRunner(
            self._options,
            () if self._is_admin else ("--non-admin",),
            self.folder / REQUESTS,
        )

    def collect_logs(self, folder: Path) -> None:
        """Make an empty directory: the logs cannot be read."""
        folders.make(folder)

    def without_change(self, name: str) -> None:
        """Return None: there is only one cloud."""

    def again(self, name: str) -> None:
        """Return None: there is only one cloud."""

    def check_base(self) -> None:
        """Do nothing: without a change under test, no file of the base is altered."""

    def keep(self) -> bool:
        """Return True: the cloud keeps running."""
        return True

    def end(self) -> Sequence[str]:
        """Do nothing: bsdgate has started no process of the cloud."""
        return ()

    def close(self) -> Sequence[Finding]:
        """Remove the resources of the run, and compare the others with the inventory."""
        if self._lock is None:
            return ()
        # A close that failed can be repeated.
        found = self._audit()
        os.close(self._lock)
        self._lock = None
        self.cloud.close()
        return found

    # Parts of the methods ----------------------------------------------------------------

    def _take_lock(self) -> int:
        folder = paths.state() / "standing"
        with files.explain_errors(folder):
            folders.make(folder)
        cloud = hashlib.sha256(self.entry.auth_url.encode()).hexdigest()[:8]
        lock = files.take_lock(folder / f"{self.asked.prefix}-{cloud}.lock")
        if lock is None:
            raise UsageError(
                f"another run uses the prefix {self.asked.prefix!r} in this cloud now",
                "wait until it ends, or choose another --prefix",
            )
        return lock

    def _take(self, made: Sequence[str] = ()) -> Inventory:
        services = [requirements.TYPES[name] for name in self.profile.services]
        hidden = inventory.HIDDEN if self._is_admin else inventory.OF_NO_ADMIN
        return inventory.take(self.cloud, services, made, hidden)

    @property
    def _is_admin(self) -> bool:
        return "admin" in self._identity.roles

    def _sweep(self, runs: Sequence[Path]) -> tuple[Inventory, list[Resource]]:
        """Remove the resources of these runs; return the new inventory, and the remaining ones."""
        ownership = Ownership.of_runs(self.asked.prefix, runs)
        return sweep(self.cloud, lambda: self._take(sorted(ownership.users)), ownership.owned)

    def _remove_left(self, runs: Sequence[Path]) -> Inventory:
        """Remove the resources of earlier runs; return the new inventory."""
        found, left = self._sweep(runs)
        if left:
            raise InfrastructureError(
                f"earlier runs left {len(left)} resources that cannot be removed:"
                f" {'; '.join(map(str, left[: audit.SHOWN]))}",
                "remove them, or choose another --prefix",
            )
        for folder in runs:
            self._mark_clean(folder)
            self._report_line(f"removed the resources that the run {folder.name} had left")
        return found

    def _mark_clean(self, folder: Path) -> None:
        Mark(self.entry.auth_url, self.asked.prefix, clean=True).write(folder)

    def _audit(self) -> Sequence[Finding]:
        before = inventory.read(self.folder / BASELINE)
        if before is None:
            return ()
        after, left = self._sweep([self.folder])
        requests = request_log.read(self.folder / REQUESTS)
        differences = audit.compare(before, after, requests)
        audit.write(self.folder, differences, left)
        if not left:
            self._mark_clean(self.folder)
        return audit.findings(differences, left)

    def _prepare(self) -> dict[str, str]:
        """Make flavors and images for the tests; return the options of tempest.conf."""
        prefix = run_prefix(self.asked.prefix, self.run_id)
        options = {
            "DEFAULT.resource_name_prefix": prefix,
            "auth.admin_user_domain_name": self._identity.user_domain,
            "auth.admin_project_domain_name": self._identity.project_domain,
        }
        chosen = self.profile.overrides()
        if "nova" in self.profile.services and self._is_admin:
            for option, (name, ram) in FLAVORS.items():
                if option not in chosen:
                    options[option] = self._make_flavor(f"{prefix}-{name}", ram)
        if "glance" in self.profile.services:
            for option, name in IMAGES.items():
                if option not in chosen:
                    options[option] = self._make_image(f"{prefix}-{name}")
        return options

    def _make_flavor(self, name: str, ram: int) -> str:
        content = {"flavor": {"name": name, "ram": ram, "vcpus": 1, "disk": 1}}
        return self._make("compute", "/flavors", content)

    def _make_image(self, name: str) -> str:
        content = {
            "name": name,
            "disk_format": "raw",
            "container_format": "bare",
            # Every project may use the image, but only its owner sees it in lists.
            "visibility": "community",
        }
        identity = self._make("image", "/images", content)
        self.cloud.upload(identity, bytes(IMAGE_BYTES))
        return identity

    def _make(self, service: str, path: str, content: Mapping[str, Any]) -> str:
        """Make a resource; record its id before it is used."""
        status, document = self.cloud.call(service, "POST", path, content)
        if status not in _CREATED:
            raise InfrastructureError(
                f"the cloud {self.asked.name!r} refuses the request POST {path}:"
                f" status {status}, {document}",
                "check the rights and the quota of the user",
            )
        identity = str(document.get("flavor", document)["id"])
        RequestLog(self.folder / REQUESTS).made(path, identity)
        return identity
