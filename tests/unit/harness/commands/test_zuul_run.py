# SPDX-License-Identifier: Apache-2.0
"""bsdgate zuul run: its options, the copies of checkouts, the host keys, and the exit code.

A shell script is in place of the environment of Zuul.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.harness.commands.calls import Call

from bsdgate.harness.commands import zuul_nodes, zuul_projects, zuul_run
from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.zuul.executor.order import End, Order

CHECKOUT = Path(__file__).parents[4]
HEAD = {"path": "bsdgate/verdict.json", "sha256": "0" * 64, "size": 1}
PASSED = {"schema": 1, "run_id": "1", "change": "", "patchset": "", "verdict": HEAD}


@pytest.fixture
def python(tmp_path: Path) -> Callable[[End, int], Path]:
    """Return a function that makes an interpreter: it keeps the order, and writes this end."""

    def make(end: End, status: int = 0) -> Path:
        end.write(tmp_path / "made.json")
        path = tmp_path / "python"
        path.write_text(
            f"#!/bin/sh\nprintf 'one\\033line\\n'; cp $3 '{tmp_path}/order.json'\n"
            f"cp '{tmp_path}/made.json' $4; exit {status}\n"
        )
        path.chmod(0o755)
        return path

    return make


def end(result: str, verdict: str | None) -> End:
    """Return an end with this result of Zuul and the result of the verdict."""
    return End(result, data={"bsdgate": {**PASSED, "result": verdict}} if verdict else {})


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (end("SUCCESS", "PASS"), 0),
        (end("FAILURE", "FAIL"), 1),
        (end("FAILURE", "ERROR"), 3),
        (end("FAILURE", "PASS"), 3),
        (end("POST_FAILURE", "PASS"), 3),
        (end("POST_FAILURE", "FAIL"), 3),
        (end("RETRY", "FAIL"), 3),
        (end("SUCCESS", None), 3),
        (end("SUCCESS", "GOOD"), 3),
    ],
)
def test_the_exit_code_is_that_of_a_verdict_that_the_build_agrees_with(
    given: End, code: int
) -> None:
    assert zuul_run.exit_code(given) == code


def test_the_order_has_the_options(
    zuul: Call, python: Callable[[End], Path], tmp_path: Path
) -> None:
    given = End("SUCCESS", warnings=["a\x1bb"], data={**end("", "PASS").data, "zuul": {}})
    done = zuul(
        "run",
        "some-job",
        *("--python", python(given), "--checkout", CHECKOUT, "--change", "912345,3"),
        *("--var", "number=7", "--var", "bsdgate_command=[a, b]", "--pipeline", "nightly"),
    )
    assert done.code == 0, done
    for text in ("one\\x1bline", "Result: SUCCESS", "Verdict: PASS", "Warning: a\\x1bb"):
        assert text in done.out
    order = Order.read(tmp_path / "order.json")
    assert (order.job, order.pipeline, order.branch) == ("some-job", "nightly", "master")
    assert (order.checkout, order.change) == (str(CHECKOUT), ("912345", "3"))
    logs = tmp_path / "state" / "zuul-logs"
    assert order.site == {
        "bsdgate_command": ["a", "b"],
        "bsdgate_folder": str(Path(order.folder).with_name("controller") / "bsdgate-build"),
        "bsdgate_logs_folder": str(logs),
        "bsdgate_logs_url": f"file://{logs}",
        "number": 7,
    }
    assert not Path(order.folder).exists()


def test_a_refused_job_is_an_error_of_usage(
    zuul: Call, python: Callable[[End, int], Path], tmp_path: Path
) -> None:
    interpreter = python(End("REFUSED", "the job is abstract"), 2)
    done = zuul("run", "job", "--python", interpreter, "--checkout", CHECKOUT)
    assert (done.code, "bsdgate: the job is abstract" in done.err) == (2, True), done


def test_a_program_that_fails_is_an_error(
    zuul: Call, python: Callable[[End, int], Path], tmp_path: Path
) -> None:
    done = zuul("run", "job", "--python", python(End(""), 1), "--checkout", CHECKOUT)
    assert (done.code, "the program that runs the job failed" in done.err) == (3, True), done


def test_another_directory_is_not_a_checkout_of_bsdgate(
    zuul: Call, python: Callable[[End], Path], tmp_path: Path
) -> None:
    done = zuul("run", "job", "--python", python(End("")), "--checkout", tmp_path)
    assert (done.code, "is not a checkout of bsdgate" in done.err) == (2, True), done


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--node", "freebsd", "is not a node; give one such as freebsd=ssh://"),
        ("--node", "freebsd=host", "is not the address of a node"),
        ("--var", "number", "give NAME=VALUE"),
        ("--var", "a b=1", "give NAME=VALUE"),
        ("--var", "a=[", "the value of a is not YAML"),
        ("--project", "openstack/nova=/absent", "'/absent' is not a directory"),
        ("--change", "912345", "is not a change"),
    ],
)
def test_wrong_options_are_refused(zuul: Call, option: str, value: str, message: str) -> None:
    done = zuul("run", "job", option, value)
    assert (done.code, message in done.err) == (2, True), done


# Projects ---------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout with a commit, then a change that is not committed."""
    path = tmp_path / "nova"
    path.mkdir()
    (path / "kept.py").write_text("1")
    (path / "removed.py").write_text("1")
    for words in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "Title\n\nBody"]):
        author = ["-c", "user.name=Z", "-c", "user.email=z@example.org"]
        subprocess.run(["git", *author, *words], cwd=path, check=True)
    (path / "removed.py").unlink()
    (path / "kept.py").write_text("2")
    return path


def git(folder: str, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_project_is_copied_with_its_commit_and_changes(checkout: Path, tmp_path: Path) -> None:
    (made,) = zuul_projects.prepare([("openstack/nova", checkout)], tmp_path / "projects")
    assert (made.name, made.message) == ("openstack/nova", "Title\n\nBody")
    assert (
        made.commit
        == git(str(checkout), "rev-parse", "HEAD")
        == git(made.folder, "rev-parse", "HEAD")
    )
    assert git(made.folder, "status", "--short").split() == ["M", "kept.py", "D", "removed.py"]
    assert git(made.folder, "remote") == ""


def test_the_name_of_a_project_is_in_gitreview(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".gitreview").write_text("[gerrit]\nproject=openstack/nova.git\n")
    (made,) = zuul_projects.prepare([(None, checkout)], tmp_path / "projects")
    assert made.name == "openstack/nova"


@pytest.mark.parametrize("content", [None, "", "project=x", "[gerrit]\n", "[gerrit]\nhost=x\n"])
def test_a_project_without_a_name_is_refused(
    checkout: Path, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (checkout / ".gitreview").write_text(content)
    with pytest.raises(UsageError, match=r"\.gitreview has no name of the project") as error:
        zuul_projects.prepare([(None, checkout)], tmp_path / "projects")
    assert f"--project openstack/keystone={checkout}" in str(error.value.hint)


def test_a_directory_without_a_commit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a git checkout with a commit"):
        zuul_projects.prepare([("openstack/nova", tmp_path)], tmp_path / "projects")


# Nodes ------------------------------------------------------------------------------------------


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an ssh with a configuration of its own; return its file of known hosts."""
    known = tmp_path / "known_hosts"
    known.write_text("")
    (tmp_path / "config").write_text(
        f"Host alias\n  HostName 192.0.2.7\n  Port 2222\n  User someone\n"
        f"Host *\n  UserKnownHostsFile /absent {known}\n"
    )
    found = subprocess.run(["which", "ssh"], check=True, capture_output=True, text=True).stdout
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {found.strip()} -F {tmp_path}/config "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return known


def test_a_node_has_the_address_and_the_keys_of_the_users_ssh(ssh: Path, tmp_path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "k"], check=True
    )
    kind, key, _ = (tmp_path / "k.pub").read_text().split(" ", 2)
    ssh.write_text(
        f"# a comment\n[192.0.2.7]:2222 {kind} {key} a comment\n192.0.2.7 {kind} other\n"
    )
    node = zuul_nodes.find("freebsd", Address.parse("ssh://alias"))
    assert (node.host, node.port, node.user) == ("192.0.2.7", 2222, "someone")
    assert node.host_keys == [f"{kind} {key}"]
    other = zuul_nodes.find("freebsd", Address.parse("ssh://root@alias"))
    assert other.user == "root"


def test_a_node_without_a_known_key_is_refused(ssh: Path) -> None:
    with pytest.raises(UsageError, match=r"the host key of \[192.0.2.7\]:2222 is not known"):
        zuul_nodes.find("freebsd", Address.parse("ssh://alias"))


def test_the_order_and_the_end_are_read_as_written(tmp_path: Path) -> None:
    written: Any = End("SUCCESS", "detail", ["warning"], {"a": {"b": [1]}})
    written.write(tmp_path / "end.json")
    assert End.read(tmp_path / "end.json") == written
    assert json.loads((tmp_path / "end.json").read_text())["result"] == "SUCCESS"
