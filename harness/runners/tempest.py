# SPDX-License-Identifier: Apache-2.0
"""The runner for Tempest: the workspace, the configuration, the list of tests, the run."""

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
from bsdgate.harness.manifest import RunnerKind
from bsdgate.harness.profiles.model import Profile, ServiceName
from bsdgate.harness.run_dir import WORKERS, Attempt, Format
from bsdgate.harness.runners import accounts, list_cache
from bsdgate.harness.runners.base import Ended, Events, Look, Site
from bsdgate.harness.runners.split import Split, replay, split, worker_file
from bsdgate.harness.runners.watch import watch
from bsdgate.harness.suites.model import Suite
from bsdgate.results import crosscheck
from bsdgate.results.codes import Code
from bsdgate.results.parsers.subunit import StreamReader
from bsdgate.results.problems import Problem

TEST_TIMEOUT: Final = "OS_TEST_TIMEOUT"
"""The environment variable with the time limit of a test, read by Tempest's base class."""
IMAGE_BYTES: Final = 64 * 1024
SECTION_MISSPELT: Final = "oslo_concurrency.lock_path"
"""python-tempestconf writes ``[oslo-concurrency]``, which no program reads."""
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
    """The directory in which Tempest runs.

    It is not made by ``tempest init``, which takes a second, writes to the user's home directory
    and copies the machine's Tempest settings. ``--config-file`` works in any directory.

    ``bin`` is the directory of the programs, ``clouds_yaml`` the file with the cloud. ``requests``
    is the file for the log of requests that can alter the cloud; None: no log.
    """

    path: Path
    bin: Path
    clouds_yaml: Path
    logs: Path
    requests: Path | None = None

    @property
    def config(self) -> Path:
        """The path of tempest.conf."""
        return self.path / "etc" / "tempest.conf"

    @property
    def accounts(self) -> Path:
        """The path of the accounts file."""
        return self.config.with_name("accounts.yaml")

    def create(self) -> None:
        """Make a new directory, with an image of zeros for the tests."""
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

        With the argument ``--create`` it also makes resources for the tests in the cloud.
        """
        settings = {SECTION_MISSPELT: str(self._locks), **overrides}
        argv: list[str | Path] = [self.bin / "discover-tempest-config", *arguments]
        argv += ["--os-cloud", cloud, "--no-default-deployer", "--out", self.config]
        argv += ["--image", self._image, "--image-disk-format", "raw"]
        for option, value in settings.items():
            argv += [option, value]
        with self._start("tempestconf", argv) as tempestconf:
            tempestconf.finish(timeout)

    def list_tests(self, timeout: float) -> list[str]:
        """Return the ids of all installed tests, in Tempest's form.

        :raises InfrastructureError: Tempest lists no tests, or cannot import a module.
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
        """Run each share of the tests by a worker; the output of the process is a subunit stream.

        Tempest's base class fails a test that does not end within ``test_timeout`` seconds.
        """
        # An interrupted run leaves locks of accounts that no process uses.
        folders.remove_tree(self._locks, inside=self.path)
        folders.make(self._locks)
        chosen, workers = self.path / "asked.txt", self.path / "workers.yaml"
        chosen.write_text("".join(f"{each}\n" for share in shares for each in share))
        workers.write_text(worker_file(shares))
        argv = self._tempest("run", "--config-file", self.config, "--load-list", chosen)
        argv += ["--worker-file", workers, "--concurrency", str(len(shares)), "--subunit"]
        # Tempest reads whole seconds; 0 means no limit.
        changes = {TEST_TIMEOUT: str(math.ceil(test_timeout))}
        if self.requests is not None:
            changes[request_log.VARIABLE] = str(self.requests)
        with self._start("run", argv, process.PIPE, changes) as running:
            yield running

    def records(self) -> list[Path]:
        """Return stestr's records of complete runs in this workspace, in their order.

        A run that was interrupted has no record.
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
        # Tempest writes settings, locks and temporary files, and does not remove them.
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
    """Runs the tests of Tempest and its plugins by stestr."""

    NEEDS: ClassVar[ServiceName] = "keystone"

    workspace: Workspace
    cloud: str
    overrides: Mapping[str, str]
    configure_timeout: float
    test_timeout: float
    concurrency: int
    accounts: Path | None = None
    """The file of accounts for tests; None if each test class makes its own."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """The durations of tests in an earlier run in seconds, by id."""
    lists: Path | None = None
    """The directory of the cache for lists of tests; None: no cache."""
    tempestconf: Sequence[str] = ("--create",)
    split: Split = ()
    """The ids of the tests of each worker in an earlier run that is reproduced."""
    kind: RunnerKind = "tempest"
    form: Format = "subunit"

    @staticmethod
    def concurrency_of(_suite: Suite, _only: str | None, asked: int | None, default: int) -> int:
        """Return the number of tests that run at the same time."""
        return asked or default

    @classmethod
    def make(cls, site: Site, profile: Profile, suite: Suite, concurrency: int) -> Self:
        """Return the runner for a cloud with this profile.

        In a cloud in which tests may not make users, every suite uses the accounts.
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
            site.split,
        )

    def prepare(self) -> None:
        """Make the workspace, tempest.conf, and a copy of the accounts if there are any.

        :raises ConfigurationError: the accounts file is wrong.
        :raises UsageError: the accounts file has too few accounts for the concurrency.
        """
        self.workspace.create()
        overrides = {**self.overrides, **self._take_accounts()}
        self.workspace.configure(self.cloud, overrides, self.configure_timeout, self.tempestconf)

    def list_ids(self) -> Sequence[str]:
        """Return the ids of all installed tests."""
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
        """Run these tests; the evidence is the subunit stream, which ends with a seal."""
        reader = StreamReader()

        def take(chunk: bytes) -> None:
            attempt.stream.write(chunk)
            for event in reader.feed(chunk):
                events.test(event)

        shares = self._split(ids)
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

    def _split(self, ids: Sequence[str]) -> Split:
        if self.split:
            return replay(self.split, ids, self.concurrency, self.seconds)
        return split(ids, self.concurrency, self.seconds)

    def _take_accounts(self) -> dict[str, str]:
        """Write the accounts file of the workspace; return the options of tempest.conf for it."""
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
        """Return stestr's record of the run after ``before`` runs; None if there is none."""
        record = None
        for path in self.workspace.records()[before:]:
            with path.open("rb") as file:
                record = crosscheck.record(file)
        return record
