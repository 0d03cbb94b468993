# SPDX-License-Identifier: Apache-2.0
"""A real Gerrit on loopback: from its jars, with accounts and a project that are made once.

The jars come from the package registry of Maven. The site (accounts, a project, the label Verified)
is made at the first use, and kept with the jars in a folder that has the digest of its inputs in
its name; each server gets a copy. To make the folder and print its path:

    python -m functional.gerrit FOLDER
"""

import contextlib
import fcntl
import hashlib
import inspect
import json
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from functional.place import free_port
from functional.server_process import START, ServerProcess

VERSION = "3.10.0"
JARS = (
    f"com.google.gerrit:gerrit-acceptance-framework:{VERSION}",
    f"com.google.gerrit:gerrit-plugin-api:{VERSION}",
    "org.bouncycastle:bcprov-jdk18on:1.78.1",
    "org.bouncycastle:bcpg-jdk18on:1.78.1",
    "org.bouncycastle:bcpkix-jdk18on:1.78.1",
)
ADMIN = ("admin", "secret")
CI = ("bsdgate", "canary-of-the-ci")
"""The account of the CI, which may vote; the password is a canary that no log may contain."""
GUEST = ("guest", "canary-of-the-guest")
"""An account that may comment and not vote."""
AUTHOR = ("author", "canary-of-the-author")
PROJECT = "demo"

_FAST = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xlog:cds=off")
_READY = f" {VERSION} ready\n"
"""The end of the line that the server prints when it accepts requests."""
_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>bsdgate</groupId><artifactId>gerrit</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>{dependencies}</dependencies>
</project>
"""
_DEPENDENCY = """
<dependency>
  <groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>
  <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>
</dependency>"""
_VERIFIED = {"values": {"-1": "Fails", " 0": "No score", "+1": "Verified"}, "function": "NoBlock"}


class Missing(Exception):
    """A program for the server is missing on this machine."""


@dataclass(frozen=True)
class Home:
    """The folder with the jars, the site that is copied, and the archive of loaded classes."""

    path: Path

    @property
    def site(self) -> Path:
        return self.path / "site"

    @property
    def archive(self) -> Path:
        return self.path / "classes.jsa"

    def loading(self) -> list[str]:
        """Return the option of Java that loads the archive."""
        return [f"-XX:SharedArchiveFile={self.archive}"] if self.archive.exists() else []

    def java(self, *options: str) -> list[str]:
        """Return the beginning of a command that runs Gerrit."""
        # An archive of classes fits only the same class path, in the same order.
        jars = ":".join(map(str, sorted(self.path.glob("jars/*.jar"))))
        launcher = "com.google.gerrit.launcher.GerritLauncher"
        # JGit writes into the home directory.
        own = f"-Duser.home={self.path}"
        return ["java", *_FAST, own, *options, "-Xmx512m", "-cp", jars, launcher]


def find(folder: Path) -> Home:
    """Return the home of Gerrit in a folder; it is made at the first call.

    :raises Missing: a program is missing.
    """
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise Missing(f"{program} is missing: install maven and openjdk-17-jre-headless")
    folder.mkdir(parents=True, exist_ok=True)
    home = Home(folder.resolve() / f"gerrit-{_digest()}")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.path.exists():
            for old in folder.glob("gerrit-*"):
                shutil.rmtree(old)
            # The paths of the jars are in the archive of classes: the folder is not renamed.
            try:
                _make(home, folder / "repository")
            except BaseException:
                shutil.rmtree(home.path, ignore_errors=True)
                raise
    return home


def _digest() -> str:
    java = subprocess.run(["java", "-version"], check=True, capture_output=True)
    source = inspect.getsource(sys.modules[__name__]).encode()
    return hashlib.sha256(source + java.stderr).hexdigest()[:16]


def _make(home: Home, repository: Path) -> None:
    home.path.mkdir()
    _fetch_jars(home.path, repository)
    with zipfile.ZipFile(home.path / "jars" / "0-version.jar", "w") as jar:
        jar.writestr("com/google/gerrit/common/Version", VERSION)
    # In a path with a space, Gerrit writes its caches to another path, with %20.
    with tempfile.TemporaryDirectory(prefix="bsdgate-gerrit-") as folder:
        site = Path(folder) / "site"
        init = ["init", "-d", str(site), "--batch", "--no-auto-start", "--dev", "--skip-plugins"]
        _run(*home.java(), *init)
        with _running(home, site, [f"-XX:ArchiveClassesAtExit={home.archive}"]) as server:
            _seed(server)
        shutil.rmtree(site / "logs")
        (site / "logs").mkdir()
        shutil.copytree(site, home.site, symlinks=True)


def _fetch_jars(folder: Path, repository: Path) -> None:
    dependencies = "".join(_DEPENDENCY.format(*jar.split(":")) for jar in JARS)
    (folder / "pom.xml").write_text(_POM.format(dependencies=dependencies))
    maven = ["mvn", "--quiet", "--batch-mode", "--file", str(folder / "pom.xml")]
    target = [f"-DoutputDirectory={folder / 'jars'}", f"-Dmaven.repo.local={repository.resolve()}"]
    _run(*maven, *target, "dependency:copy-dependencies")


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}:\n{done.stdout}{done.stderr}"


def _seed(server: "Gerrit") -> None:
    for name, password in (CI, GUEST, AUTHOR):
        about = {"name": name, "email": f"{name}@example.org", "http_password": password}
        groups = {"groups": ["Service Users"]} if (name, password) == CI else {}
        server.admin("PUT", f"/accounts/{name}", {**about, **groups})
    server.admin("PUT", f"/projects/{PROJECT}", {"create_empty_commit": True})
    server.admin("PUT", "/projects/All-Projects/labels/Verified", _VERIFIED)
    voters = server.admin("GET", "/groups/")["Service Users"]["id"]
    rule = {"action": "ALLOW", "min": -1, "max": 1}
    may_vote = {"label": "Verified", "rules": {voters: rule}}
    permissions = {"refs/heads/*": {"permissions": {"label-Verified": may_vote}}}
    server.admin("POST", "/projects/All-Projects/access", {"add": permissions})


@dataclass(frozen=True)
class Gerrit:
    """A running server, with the requests of an administrator and of authors."""

    url: str
    log: Path

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Make a request as the administrator; return the answer."""
        return self.call(ADMIN, method, path, body)

    def call(self, who: tuple[str, str], method: str, path: str, body: Any = None) -> Any:
        response = requests.request(
            method, f"{self.url}/a{path}", auth=who, json=body, timeout=START
        )
        assert response.ok, f"{method} {path}: {response.status_code} {response.text}"
        text = response.text.removeprefix(")]}'")
        return json.loads(text) if text.strip() else None

    def new_change(self) -> int:
        """Make a change with one patchset, which has the file ``a.txt``; return its number."""
        about = {"project": PROJECT, "branch": "master", "subject": "A change"}
        patch = {"patch": "--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1,2 @@\n+one\n+two\n"}
        made = self.admin("POST", "/changes/", {**about, "patch": patch})
        number: int = made["_number"]
        return number

    def new_patchset(self, change: int) -> None:
        """Add a patchset with another content."""
        url = f"{self.url}/a/changes/{change}/edit/a.txt"
        content = f"{time.monotonic_ns()}\n"
        done = requests.put(url, content.encode(), auth=ADMIN, timeout=START)
        assert done.ok, done.text
        self.admin("POST", f"/changes/{change}/edit:publish", {"notify": "NONE"})

    def abandon(self, change: int) -> None:
        self.admin("POST", f"/changes/{change}/abandon", {})

    def messages(self, change: int, who: str = CI[0]) -> list[str]:
        """Return the messages of an account on a change, without those of Gerrit itself."""
        found = self.admin("GET", f"/changes/{change}/messages")
        return [each["message"] for each in found if each["author"].get("username") == who]

    def vote(self, change: int, who: str = CI[0]) -> int:
        """Return the vote of an account on the current patchset, 0 without one."""
        labels = self.admin("GET", f"/changes/{change}/detail")["labels"]
        votes = labels["Verified"].get("all", [])
        return sum(each.get("value", 0) for each in votes if each.get("username") == who)

    def comments(self, change: int) -> dict[str, Any]:
        """Return the comments on files, by path."""
        found: dict[str, Any] = self.admin("GET", f"/changes/{change}/comments")
        return found


@contextlib.contextmanager
def serving(home: Home) -> Iterator[Gerrit]:
    """Run a server on a copy of the site; end it afterwards, and remove the copy."""
    with tempfile.TemporaryDirectory(prefix="bsdgate-gerrit-") as folder:
        site = Path(folder) / "site"
        shutil.copytree(home.site, site)
        with _running(home, site, home.loading()) as server:
            yield server


@contextlib.contextmanager
def _running(home: Home, site: Path, options: Sequence[str]) -> Iterator[Gerrit]:
    url = f"http://127.0.0.1:{free_port()}"
    with started(home, site, url, options) as process:
        process.wait_until_ready()
        yield Gerrit(url, process.log)


def started(
    home: Home, site: Path, url: str, options: Sequence[str], ssh: str = "off"
) -> ServerProcess:
    """Start a server on a site, at a URL; ``ssh`` is the address of its sshd."""
    _configure(site, url, ssh)
    command = [*home.java(*options), "daemon", "-d", str(site), "--console-log", "--headless"]
    return ServerProcess(command, site.parent / "daemon.log", _READY)


def _configure(site: Path, url: str, ssh: str) -> None:
    settings = {
        "gerrit.canonicalWebUrl": f"{url}/",
        "httpd.listenUrl": f"{url}/",
        "sshd.listenAddress": ssh,
        "sendemail.enable": "false",
    }
    for name, value in settings.items():
        _run("git", "config", "--file", str(site / "etc" / "gerrit.config"), name, value)


if __name__ == "__main__":
    began = time.monotonic()
    found = find(Path(sys.argv[1]))
    sys.stdout.write(f"{found.path} {time.monotonic() - began:.1f} s\n")
    began = time.monotonic()
    with serving(found):
        sys.stdout.write(f"started in {time.monotonic() - began:.1f} s\n")
