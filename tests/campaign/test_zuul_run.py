# SPDX-License-Identifier: Apache-2.0
"""``bsdgate zuul run`` with a node over ssh: a real run of real Tempest.

The other tests of the command have recorded evidence (``tests/functional/test_zuul_run.py``), and
``test_zuul_stack_votes.py`` has these playbooks with a node in a real Zuul.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from functional import inetd
from functional import sshd as servers
from functional.place import Place
from functional.run_folder import FEW
from functional.sshd import Sshd
from functional.test_zuul_run import run


@pytest.fixture(scope="module")
def node(place: Place) -> Iterator[tuple[Sshd, int]]:
    """Run an sshd at a port, for the ssh of the tests."""
    with servers.serving() as sshd:
        if (place.cache / "templates").is_dir():
            shutil.copytree(place.cache / "templates", sshd.home / "cache" / "templates")
            subprocess.run(["chown", "-R", sshd.user, sshd.home / "cache"], check=True)
        command = [*servers.entering(sshd.namespace), str(servers.SSHD), "-i"]
        with inetd.serving(
            [*command, "-f", str(sshd.root / "sshd_config")], sshd.root / "errors"
        ) as port:
            sshd.configure(
                f"AuthorizedKeysFile {sshd.root}/authorized .ssh/authorized_keys",
                f"Host 127.0.0.1\n  IdentityFile {sshd.root}/key\n"
                f"  UserKnownHostsFile {sshd.root}/known_hosts",
            )
            key = (sshd.root / "host.pub").read_text()
            with (sshd.root / "known_hosts").open("a") as file:
                file.write(f"[127.0.0.1]:{port} {key}")
            yield sshd, port


def test_a_run_on_a_node_passes(place: Place, node: tuple[Sshd, int]) -> None:
    sshd, port = node
    options = json.dumps(["--tests", FEW])
    ended = run(
        place,
        "bsdgate-embedded",
        *("--node", f"freebsd=ssh://{sshd.user}@127.0.0.1:{port}"),
        *("--change", "912345,3"),
        *("--var", "bsdgate_profile=keystone", "--var", "bsdgate_policy=developer"),
        *("--var", f"bsdgate_options={options}"),
        PATH=sshd.path,
    )
    assert ended.done.code == 0, ended.done
    for line in (
        "Result: SUCCESS",
        "Verdict: PASS",
        f"Logs: {ended.logs.as_uri()}/",
        f"Report: {ended.logs}/report/report.html",
    ):
        assert line in ended.done.text
    returned = json.loads((ended.logs / "bsdgate" / "return.json").read_text())["bsdgate"]
    assert (returned["result"], returned["change"], returned["patchset"]) == ("PASS", "912345", "3")
    verdict = json.loads((ended.logs / "bsdgate" / "verdict.json").read_text())
    assert verdict["result"] == "PASS"
    assert json.loads((ended.logs / "run" / "node.json").read_text())["facts"]["url"].endswith(
        f"{sshd.user}@127.0.0.1:{port}"
    )
    place.wait_until_empty()
