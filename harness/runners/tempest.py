# SPDX-License-Identifier: Apache-2.0
"""Tempest: its workspace, its configuration discovered from the cloud, its list, its run."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final, Self

import yaml

from bsdgate.harness import files, folders, paths, process, request_log
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.manifest import Kind
from bsdgate.harness.profiles.model import Profile, ServiceName
from bsdgate.harness.run_dir import Attempt, Format
from bsdgate.harness.runners import accounts, list_cache
from bsdgate.harness.runners.base import Ended, Events, Look, Site
from bsdgate.harness.runners.split import Split, split, worker_file
from bsdgate.harness.runners.watch import watch
from bsdgate.harness.suites.model import Suite
from bsdgate.results import crosscheck
from bsdgate.results.codes import Code
from bsdgate.results.parsers.subunit import StreamReader
from bsdgate.results.problems import Problem

TEST_TIMEOUT: Final = "OS_TEST_TIMEOUT"
"""The environment variable in which Tempest's base class finds how long a test may take."""
WORKERS: Final = "workers.json"
"""In the folder of an attempt: the ids of the tests that each worker was given."""
IMAGE_BYTES: Final = 64 * 1024
SECTION_MISSPELT: Final = "oslo_concurrency.lock_path"
"""python-tempestconf writes ``[oslo-concurrency]``, which nothing reads."""
LOG_LEVELS: Final = ",".join(
    (
        "stevedore=WARN",
        "urllib3.connectionpool=WARN",
        "urllib3.util.retry=WARN",
        # At DEBUG it logs the passwords of all accounts for each test class.
        "tempest.lib.common.preprov_creds=INFO",
    )
)


@dataclass(frozen=True)
class Workspace:
    """A folder that Tempest is run in, as its ``--config-file`` allows for any.

    ``tempest init`` is not asked: it takes a second, lists the folder in the user's home and
    copies the machine's own Tempest settings into it.

    ``bin`` is the folder of the programs, ``clouds_yaml`` the file that names the cloud.
    ``requests`` takes the log of the tests' requests that can alter the cloud, if one is kept.
    """

    path: Path
    bin: Path
    clouds_yaml: Path
    logs: Path
    requests: Path | None = None

    @property
    def config(self) -> Path:
        """The workspace's tempest.conf."""
        return self.path / "etc" / "tempest.conf"

    @property
    def accounts(self) -> Path:
        """The workspace's file of accounts."""
        return self.config.with_name("accounts.yaml")

    def create(self) -> None:
        """Make the folder anew, and an image without content for its tests to boot."""
        for folder in (self.path, self._home):
            folders.remove_tree(folder, inside=folder.parent)
            folders.make_marked(folder)
        for folder in (self._home / "tmp", self.config.parent):
            folders.make(folder)
        self._image.write_bytes(bytes(IMAGE_BYTES))

    def configure(
        self,
        cloud: str,
        overrides: Mapping[str, str],
        timeout: float,
        arguments: Sequence[str] = ("--create",),
    ) -> None:
        """Write tempest.conf by python-tempestconf.

        With the argument ``--create`` it makes in the cloud what tests need.

        Beside it stestr makes its repository, which takes a second.
        """
        settings = {SECTION_MISSPELT: str(self._locks), **overrides}
        argv: list[str | Path] = [self.bin / "discover-tempest-config", *arguments]
        argv += ["--os-cloud", cloud, "--no-default-deployer", "--out", self.config]
        argv += ["--image", self._image, "--image-disk-format", "raw"]
        for option, value in settings.items():
            argv += [option, value]
        with self._start("repository", [self.bin / "stestr", "init"]) as repository:
            with self._start("tempestconf", argv) as tempestconf:
                tempestconf.finish(timeout)
            repository.finish(timeout)

    def list_tests(self, timeout: float) -> list[str]:
        """Return the ids of all tests that are installed, as Tempest prints them.

        :raises InfrastructureError: Tempest lists none, or cannot import what it has found.
        """
        output = self.path / "all-tests.txt"
        output.unlink(missing_ok=True)
        argv = self._tempest("run", "--list-tests", "--config-file", self.config)
        with self._start("list", argv, output) as listing:
            listing.finish(timeout)
        ids = [line for line in output.read_text().splitlines() if "." in line]
        broken = [each for each in ids if each.startswith("unittest.loader._FailedTest.")]
        if broken or not ids:
            raise InfrastructureError(
                f"Tempest cannot import {', '.join(broken) or 'any test'}",
                f"see {self.logs / 'tempest-list.log'}",
            )
        return ids

    @contextmanager
    def running(self, shares: Split, test_timeout: float) -> Iterator[process.Running]:
        """Run these tests, each share by a worker; the subunit stream comes from the output.

        A test that does not end within ``test_timeout`` seconds fails, by Tempest's own base class.
        """
        # A run that was ended has left the locks of accounts that nothing uses any more.
        folders.remove_tree(self._locks, inside=self.path)
        folders.make(self._locks)
        chosen, workers = self.path / "asked.txt", self.path / "workers.yaml"
        chosen.write_text("".join(f"{each}\n" for share in shares for each in share))
        workers.write_text(worker_file(shares))
        argv = self._tempest("run", "--config-file", self.config, "--load-list", chosen)
        argv += ["--worker-file", workers, "--concurrency", str(len(shares)), "--subunit"]
        # Tempest takes whole seconds, and 0 for no limit.
        changes = {TEST_TIMEOUT: str(math.ceil(test_timeout))}
        if self.requests is not None:
            changes[request_log.VARIABLE] = str(self.requests)
        with self._start("run", argv, process.PIPE, changes) as running:
            yield running

    def records(self) -> list[Path]:
        """Return what stestr keeps of each whole run in this workspace, in the order of the runs.

        A run that was stopped has none.
        """
        found = [each for each in (self.path / ".stestr").glob("*") if each.name.isdigit()]
        return sorted(found, key=lambda each: int(each.name))

    @property
    def _home(self) -> Path:
        return self.path.with_name("tempest-home")

    @property
    def _locks(self) -> Path:
        return self.path / "tempest_lock"

    @property
    def _image(self) -> Path:
        return self.path / "image.raw"

    def _tempest(self, *arguments: str | Path) -> list[str | Path]:
        return [self.bin / "python", "-m", "bsdgate.harness.runners.tempest_worker", *arguments]

    def _environment(self, changes: Mapping[str, str]) -> dict[str, str]:
        # Tempest keeps settings and locks at home, and temporary files that it does not remove.
        return process.environment(
            OS_CLIENT_CONFIG_FILE=str(self.clouds_yaml),
            HOME=str(self._home),
            TMPDIR=str(self._home / "tmp"),
            **changes,
        )

    def _start(
        self,
        name: str,
        argv: Sequence[str | Path],
        stdout: Path | int | None = None,
        changes: Mapping[str, str] = MappingProxyType({}),
    ) -> process.Running:
        log, env = self.logs / f"tempest-{name}.log", self._environment(changes)
        return process.start(argv, log=log, cwd=self.path, env=env, stdout=stdout)


@dataclass(frozen=True)
class TempestRunner:
    """Runs Tempest's tests, and those of its plugins, by stestr."""

    NEEDS: ClassVar[ServiceName] = "keystone"

    workspace: Workspace
    cloud: str
    overrides: Mapping[str, str]
    configure_timeout: float
    test_timeout: float
    concurrency: int
    accounts: Path | None = None
    """The file of the accounts that tests take; None if each test class makes its own."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long tests took in an earlier run, by id."""
    lists: Path | None = None
    """The folder that keeps lists of tests; None if each list is to be made."""
    tempestconf: Sequence[str] = ("--create",)
    kind: Kind = "tempest"
    form: Format = "subunit"

    @staticmethod
    def concurrency_of(_suite: Suite, _only: str | None, asked: int | None, default: int) -> int:
        """Return how many tests run at a time."""
        return asked or default

    @classmethod
    def make(cls, site: Site, profile: Profile, suite: Suite, concurrency: int) -> Self:
        """Return the runner for a cloud like the profile.

        Accounts for a cloud in which nothing may be created are for every suite.
        """
        may_create = "--create" in site.tempestconf
        return cls(
            Workspace(
                site.folder / "tempest",
                site.python.parent,
                site.clouds_yaml,
                site.logs,
                site.requests,
            ),
            site.cloud,
            {**profile.overrides(), **site.options},
            profile.limits.configure,
            profile.limits.test,
            concurrency,
            site.accounts if suite.credentials == "pre-provisioned" or not may_create else None,
            site.seconds,
            paths.cache() / "lists",
            site.tempestconf,
        )

    def prepare(self) -> None:
        """Make the workspace and tempest.conf, and a copy of the accounts if there are any.

        :raises ConfigurationError: something is wrong in the file of the accounts.
        :raises UsageError: it has too few for the concurrency.
        """
        self.workspace.create()
        overrides = {**self.overrides, **self._take_accounts()}
        self.workspace.configure(self.cloud, overrides, self.configure_timeout, self.tempestconf)

    def list_ids(self) -> Sequence[str]:
        """Return the ids of all tests that are installed."""
        if self.lists is None:
            return self._list()
        python, config = self.workspace.bin / "python", self.workspace.config
        return list_cache.cached(
            self.lists,
            lambda: list_cache.fingerprint(python, config),
            self._list,
        )

    def _list(self) -> list[str]:
        return self.workspace.list_tests(self.configure_timeout)

    def asked(self, ids: Sequence[str]) -> bytes:
        """Return asked.txt: an id per line."""
        return "".join(f"{each}\n" for each in ids).encode()

    def run(self, ids: Sequence[str], attempt: Attempt, events: Events, look: Look) -> Ended:
        """Run these tests; the subunit stream is the evidence, and ends with a seal."""
        reader = StreamReader()

        def take(chunk: bytes) -> None:
            attempt.stream.write(chunk)
            for event in reader.feed(chunk):
                events.test(event)

        shares = split(ids, self.concurrency, self.seconds)
        files.write_atomically(attempt.folder / WORKERS, json.dumps(shares, indent=1).encode())
        before = len(self.workspace.records())
        with self.workspace.running(shares, self.test_timeout) as running:
            status, problems = watch(running, take, look)
        for event in reader.close():
            events.test(event)
        attempt.stream.write(reader.make_seal(attempt.run_id, attempt.name))
        try:
            record = self._record(before)
        except ValueError as error:
            unread = Problem(Code.RECORD_UNREADABLE, str(error))
            return Ended(status, [*problems, unread], None, running.left)
        if record is None and not problems:
            text = "stestr record missing: the stream cannot be cross-checked"
            problems = [Problem(Code.RECORD_MISSING, text)]
        return Ended(status, problems, record, running.left)

    def _take_accounts(self) -> dict[str, str]:
        """Write the workspace's own file of accounts; return the options that name it."""
        if self.accounts is None:
            return {"auth.use_dynamic_credentials": "True"}
        found = accounts.read(self.accounts)
        accounts.check_enough(found, self.concurrency, self.accounts)
        content = yaml.safe_dump(accounts.ordered(found), sort_keys=False)
        files.write_atomically(self.workspace.accounts, content.encode())
        return {
            "auth.use_dynamic_credentials": "False",
            "auth.test_accounts_file": str(self.workspace.accounts),
            "DEFAULT.default_log_levels": LOG_LEVELS,
        }

    def _record(self, before: int) -> bytes | None:
        """Return what stestr recorded of the run that came after ``before`` others."""
        record = None
        for path in self.workspace.records()[before:]:
            with path.open("rb") as file:
                record = crosscheck.record(file)
        return record
