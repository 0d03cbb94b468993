# SPDX-License-Identifier: Apache-2.0
"""What the stack has from its making: keys, an empty database, and the projects in Gerrit."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from functional.gerrit import ADMIN, Gerrit, Home
from functional.zuul_stack.layout import REVIEWER, Layout
from functional.zuul_stack.machine import path_of
from functional.zuul_stack.servers import UNPRIVILEGED, unprivileged

CONTENT = Path(__file__).parent / "content"
"""A directory for each project: the files of its first commit."""


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
    for project in sorted(CONTENT.iterdir()):
        if project.name not in existing:
            gerrit.admin("PUT", f"/projects/{project.name}", {"create_empty_commit": True})
        _push(gerrit, project)


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


def _push(gerrit: Gerrit, project: Path) -> None:
    """Push the files of a project to its branch, without a review."""
    url = gerrit.url.replace("://", f"://{':'.join(ADMIN)}@")
    with TemporaryDirectory() as folder:
        clone = Path(folder) / project.name
        _run(["git", "clone", "--quiet", f"{url}/a/{project.name}", clone])
        shutil.copytree(project, clone, dirs_exist_ok=True)
        git = ["git", "-C", str(clone), "-c", "user.name=Administrator"]
        _run([*git, "add", "--all"])
        _run([*git, "-c", "user.email=admin@example.com", "commit", "--quiet", "-m", "Begin"])
        _run([*git, "push", "--quiet", "origin", "HEAD:refs/heads/master"])


def _run(argv: Sequence[str | Path]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}:\n{done.stdout}{done.stderr}"
