# SPDX-License-Identifier: Apache-2.0
"""What the stack has from its making: keys, an empty database, and the projects in Gerrit."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from functional.gerrit import ADMIN, Gerrit, Home
from functional.zuul_stack import nodes
from functional.zuul_stack.layout import NODES_BRANCH, REVIEWER, Layout
from functional.zuul_stack.machine import path_of
from functional.zuul_stack.servers import UNPRIVILEGED, unprivileged

CONTENT = Path(__file__).parent / "content"
"""A directory for each project of the tenant ``example``: the files of its first commit."""
ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "doc" / "zuul-tenant" / "zuul.d"
"""The configuration of the tenant ``freebsd``."""
JOBS = tuple(ROOT / name for name in ("playbooks", "roles", "zuul.d"))
"""The directories of bsdgate that Zuul reads."""
BSDGATE = "freebsd/bsdgate"
KEYSTONE = "openstack/keystone"
GUEST_JOB = "bsdgate-embedded-guest"
PLACEMENT = "openstack/placement"
"""A project with a job that boots a guest."""
_NIGHTLY = ("0 2 * * *", "0 0 29 2 *")
"""No timer starts a build during a test."""
_GUEST = (
    "    templates:\n      - bsdgate-placement\n",
    f"    check:\n      jobs:\n        - {GUEST_JOB}\n",
)


def prepare(layout: Layout) -> None:
    """Make the data of all servers, before these start."""
    for name in ("executor-git", "zookeeper", "tls", "ssh", "ansible"):
        (layout.state / name).mkdir(parents=True)
    shutil.copytree(Home(layout.gerrit_home).site, layout.site)
    _make_certificate(layout)
    rsa = ["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-C", "zuul", "-f"]
    _run(["ssh-keygen", "-q", *rsa, layout.ssh_key])
    for version in ("9", "11"):
        (layout.state / "ansible" / version).symlink_to(layout.environment)
    nodes.make_keys(layout)
    _make_database(layout.database)
    _compile(layout)


def fill(gerrit: Gerrit, layout: Layout) -> None:
    """Make Zuul's account and the projects."""
    name, password = REVIEWER
    about = {"name": name, "email": f"{name}@example.org", "http_password": password}
    key = layout.ssh_key.with_suffix(".pub").read_text()
    account = {**about, "ssh_key": key, "groups": ["Service Users"]}
    gerrit.admin("PUT", f"/accounts/{name}", account)
    existing = gerrit.admin("GET", "/projects/")
    for name, folders in _projects(layout).items():
        if name not in existing:
            url = f"/projects/{quote(name, safe='')}"
            gerrit.admin("PUT", url, {"create_empty_commit": True})
        with _checkout(gerrit, name) as checkout:
            for source, target in folders.items():
                shutil.copytree(source, checkout / target, dirs_exist_ok=True, symlinks=True)
            _push(checkout, "master")
    with _checkout(gerrit, "freebsd/ci-config") as checkout:
        (checkout / "zuul.d" / "nodes.yaml").write_text(nodes.content(layout))
        _replace(checkout / "zuul.d" / "pipelines.yaml", *_NIGHTLY)
        _replace(checkout / "zuul.d" / "projects.yaml", *_GUEST)
        _push(checkout, NODES_BRANCH)


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, (file, old)
    file.write_text(text.replace(old, new))


def _projects(layout: Layout) -> dict[str, dict[Path, str]]:
    """Return the directories of each project, with their paths in it."""
    readme = {CONTENT / "sandbox": ""}
    others = ("glance", "ironic", "neutron", "nova", "placement")
    return {
        **{each.name: {each: ""} for each in sorted(CONTENT.iterdir())},
        BSDGATE: {folder: folder.name for folder in JOBS},
        "freebsd/ci-config": {EXAMPLE: EXAMPLE.name},
        KEYSTONE: {layout.keystone: ""},
        **{f"openstack/{name}": readme for name in others},
    }


def _make_certificate(layout: Layout) -> None:
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650"]
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    files = ["-keyout", str(layout.tls_key), "-out", str(layout.certificate)]
    _run(["openssl", *request, *files, "-subj", "/CN=localhost", "-addext", names])
    both = layout.tls_key.read_text() + layout.certificate.read_text()
    layout.certificate.with_name("store.pem").write_text(both)


def _make_database(folder: Path) -> None:
    folder.mkdir()
    if not os.getuid():
        os.chown(folder, int(UNPRIVILEGED), int(UNPRIVILEGED))
    make = ["-D", str(folder), "-U", "zuul", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    _run([*unprivileged(), path_of("initdb"), *make])


def _compile(layout: Layout) -> None:
    """Write the byte code of Zuul and Ansible, which bubblewrap does not let them write."""
    (library,) = layout.environment.glob("lib/python*/site-packages")
    # The modules of the collections are far more, and the tests use none.
    _run([layout.program("python"), "-m", "compileall", "-q", "-x", "ansible_collections", library])


@contextlib.contextmanager
def _checkout(gerrit: Gerrit, project: str) -> Iterator[Path]:
    """Clone a project for the duration of the block."""
    url = gerrit.url.replace("://", f"://{':'.join(ADMIN)}@")
    with TemporaryDirectory() as folder:
        _run(["git", "clone", "--quiet", f"{url}/a/{project}", folder])
        yield Path(folder)


def _push(checkout: Path, branch: str) -> None:
    """Push the files of a checkout to a branch, without a review."""
    git = ["git", "-C", str(checkout), "-c", "user.name=Administrator"]
    _run([*git, "add", "--all", "--force"])
    _run([*git, "-c", "user.email=admin@example.com", "commit", "--quiet", "-m", "Begin"])
    _run([*git, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}"])


def _run(argv: Sequence[str | Path]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}:\n{done.stdout}{done.stderr}"
