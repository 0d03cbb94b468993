# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.environments.changes."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from bsdgate.harness import process
from bsdgate.harness.environments import changes, sources
from bsdgate.harness.environments.changes import Change, Resolved
from bsdgate.harness.errors import UsageError

RELEASE = "2026.2"
PINNED = Version("30.0.0")

Kind = Literal["path", "git", "version"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a small project in the form of a source distribution."""
    root = tmp_path / "keystone"
    (root / "keystone" / "data").mkdir(parents=True)
    (root / "setup.py").write_text("")
    (root / "PKG-INFO").write_text("Version: 30.0.0\n")
    (root / "keystone" / "__init__.py").write_text("")
    (root / "keystone" / "data" / "x.ini").write_text("[x]\n")
    return root


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "tag.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tree: Path) -> Path:
    """Return the same project as a git checkout, with a release and a later commit."""
    (tree / "PKG-INFO").unlink()
    (tree / ".gitignore").write_text("*.log\n")
    git(tree, "init", "--quiet", "--initial-branch=master")
    for number in (1, 2):
        (tree / "keystone" / "__init__.py").write_text(f"n = {number}\n")
        git(tree, "add", "--all")
        git(tree, "commit", "--quiet", "--message", "x")
        if number == 1:
            git(tree, "tag", "--annotate", "30.0.0", "--message", "x")
    return tree


def change(project: str, distribution: str, kind: Kind, source: str, ref: str = "") -> Change:
    return Change(project, canonicalize_name(distribution), kind, source, ref)


def identity(path: Path, log: Path) -> str:
    return changes.resolve(changes.parse(f"keystone={path}", RELEASE), log).identity


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("keystone==30.0.1", change("keystone", "keystone", "version", "30.0.1")),
        ("keystone=30.0.1", change("keystone", "keystone", "version", "30.0.1")),
        ("placement==16.0.0", change("placement", "openstack-placement", "version", "16.0.0")),
        ("oslo.db==18.0.0", change("oslo.db", "oslo-db", "version", "18.0.0")),
        (
            "nova=git+https://opendev.org/openstack/nova@master",
            change("nova", "nova", "git", "https://opendev.org/openstack/nova", "master"),
        ),
        (
            "nova=git+ssh://git@host:29418/nova@refs/changes/34/1234/5",
            change("nova", "nova", "git", "ssh://git@host:29418/nova", "refs/changes/34/1234/5"),
        ),
        (
            "ironic-tempest-plugin=git+file:///srv/git/plugin@stable/2026.2",
            change(
                "ironic-tempest-plugin",
                "ironic-tempest-plugin",
                "git",
                "file:///srv/git/plugin",
                "stable/2026.2",
            ),
        ),
        (
            "nova=git+git@host:openstack/nova.git@master",
            change("nova", "nova", "git", "git@host:openstack/nova.git", "master"),
        ),
        (
            "nova=git+host:/srv/nova@master",
            change("nova", "nova", "git", "host:/srv/nova", "master"),
        ),
        (
            "nova=git+/srv/my git/nova@master",
            change("nova", "nova", "git", "/srv/my git/nova", "master"),
        ),
    ],
)
def test_forms_of_with(text: str, expected: Change) -> None:
    assert changes.parse(text, RELEASE) == expected


def test_path_is_made_absolute(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.parent)
    monkeypatch.setenv("HOME", str(tree.parent))
    for text in ("keystone=keystone", "keystone=./keystone", "keystone=~/keystone"):
        assert changes.parse(text, RELEASE).source == str(tree)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("keystone", "is not PROJECT=SOURCE", "git\\+URL@REF"),
        ("=x", "is not PROJECT=SOURCE", "git\\+URL@REF"),
        ("keystone=", "is not PROJECT=SOURCE", "git\\+URL@REF"),
        ("keyston=/tmp", "no project of that name", "did you mean keystone"),
        ("plaement==1", "no project of that name", "placement"),
        ("zzzzzz==1", "no project of that name", "2026.2.txt"),
        ("keystone==latest", "'latest' is not a version", "keystone==VERSION"),
        ("keystone=git+https://example.org/keystone", "has no branch", "git\\+URL@REF"),
        ("keystone=/absent/keystone", "/absent/keystone is not the checkout", "pyproject.toml"),
        ("keystone=/", "/ is not the checkout", "pyproject.toml"),
    ],
)
def test_invalid_text_of_with_is_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        changes.parse(text, RELEASE)
    assert caught.value.message.startswith(f"--with {text.partition('=')[0]}")
    assert re.search(hint, str(caught.value.hint))


@pytest.mark.parametrize(
    "source",
    [
        "--upload-pack=touch evidence@master",
        "-oProxyCommand=x@master",
        "ext::sh -c 'touch evidence'@master",
        "fd::17@master",
        "foo://host/x@master",
        "host::x@master",
        "ssh://-oProxyCommand=x/y@master",
        "ssh://me@-oProxyCommand=x/y@master",
        "-host:x@master",
        "host:-x@master",
        "relative/path@master",
        "https://me:secret@host/keystone",
        "ext::https://me:secret@host/keystone@master",
        "file:///srv/x@--upload-pack=x",
        "file:///srv/x@a b",
    ],
)
def test_a_url_that_git_reads_as_an_option_or_command_is_refused(source: str) -> None:
    with pytest.raises(UsageError) as caught:
        changes.parse(f"keystone=git+{source}", RELEASE)
    assert caught.value.message.startswith("--with keystone=git+")
    assert caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["--upload-pack=touch evidence; git-upload-pack", "ext::sh -c 'touch evidence'"]
)
def test_git_never_reads_a_url_as_an_option_or_a_command(
    tmp_path: Path, log: Path, url: str
) -> None:
    """The refusal of such URLs is one defence; the arguments of git are another."""
    change = Change("keystone", canonicalize_name("keystone"), "git", url, "master")
    with pytest.raises(process.ProcessError):
        changes.resolve(change, log)
    fixed = Resolved(change, "git:" + "a" * 40)
    with pytest.raises(process.ProcessError):
        changes.unpack(fixed, tmp_path / "copy", PINNED, log)
    assert not list(tmp_path.rglob("evidence"))


def test_one_project_is_changed_once() -> None:
    with pytest.raises(UsageError, match="keystone=1 and --with keystone=2"):
        changes.parse_all(["keystone==1", "nova==3", "keystone==2"], RELEASE)
    assert len(changes.parse_all(["keystone==1", "nova==3"], RELEASE)) == 2


def test_change_is_written_as_the_user_wrote_it() -> None:
    for text in ("keystone=30.0.1", "nova=git+https://opendev.org/openstack/nova@master"):
        assert str(changes.parse(text, RELEASE)) == text


def test_manifest_has_no_password(log: Path) -> None:
    text = "nova=git+https://me:secret@host/nova@" + "a" * 40
    resolved = changes.resolve(changes.parse(text, RELEASE), log)
    named = resolved.named("1.0")
    assert named.source == f"git+https://me:***@host/nova@{'a' * 40}"
    assert named.identity == f"git:{'a' * 40}"


def test_identity_is_that_of_the_content(tree: Path, log: Path, tmp_path: Path) -> None:
    before = identity(tree, log)
    moved = tree.rename(tmp_path / "elsewhere")
    assert identity(moved, log) == before
    for name in ("keystone/__init__.pyc", "build/x", ".tox/x", "keystone/__pycache__/x.py"):
        (moved / name).parent.mkdir(exist_ok=True)
        (moved / name).write_text("made by a tool")
    assert identity(moved, log) == before
    (moved / "keystone" / "data" / "x.ini").write_text("[y]\n")
    changed = identity(moved, log)
    (moved / "keystone" / "data" / "x.ini").rename(moved / "keystone" / "data" / "y.ini")
    assert len({before, changed, identity(moved, log)}) == 3


def test_identity_of_a_checkout_is_that_of_the_files_that_git_would_add(
    checkout: Path, log: Path
) -> None:
    before = identity(checkout, log)
    (checkout / "debug.log").write_text("ignored")
    assert identity(checkout, log) == before
    (checkout / "keystone" / "new.py").write_text("")
    with_new = identity(checkout, log)
    (checkout / "setup.py").unlink()
    (checkout / "setup.cfg").write_text("")
    assert len({before, with_new, identity(checkout, log)}) == 3


def test_unpacked_source_distribution_contains_its_version(
    tree: Path, log: Path, tmp_path: Path
) -> None:
    resolved = changes.resolve(changes.parse(f"keystone={tree}", RELEASE), log)
    assert changes.unpack(resolved, tmp_path / "copy", PINNED, log) is None
    assert (tmp_path / "copy" / "keystone" / "data" / "x.ini").read_text() == "[x]\n"


def test_unpacked_checkout_has_its_version_from_tags_and_its_files_in_git(
    checkout: Path, log: Path, tmp_path: Path
) -> None:
    (checkout / "keystone" / "new.py").write_text("")
    resolved = changes.resolve(changes.parse(f"keystone={checkout}", RELEASE), log)
    assert changes.unpack(resolved, tmp_path / "copy", PINNED, log) == "30.0.1.dev1"
    listed = git(tmp_path / "copy", "ls-files").split()
    assert set(listed) == {
        ".gitignore",
        "keystone/__init__.py",
        "keystone/data/x.ini",
        "keystone/new.py",
        "setup.py",
    }
    assert git(checkout, "status", "--porcelain") == "?? keystone/new.py"


def test_checkout_without_tags_has_the_version_of_the_release(
    checkout: Path, log: Path, tmp_path: Path
) -> None:
    git(checkout, "tag", "--delete", "30.0.0")
    resolved = changes.resolve(changes.parse(f"keystone={checkout}", RELEASE), log)
    assert changes.unpack(resolved, tmp_path / "copy", PINNED, log) == "30.0.0"


@pytest.mark.parametrize("ref", ["master", "30.0.0", "refs/heads/master", "COMMIT"])
def test_git_url_is_resolved_to_a_commit_and_fetched(
    checkout: Path, log: Path, tmp_path: Path, ref: str
) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    text = f"keystone=git+file://{checkout}@{head if ref == 'COMMIT' else ref}"
    resolved = changes.resolve(changes.parse(text, RELEASE), log)
    assert changes.unpack(resolved, tmp_path / "copy", PINNED, log) == "30.0.0"
    expected = git(checkout, "rev-parse", "30.0.0^{commit}") if ref == "30.0.0" else head
    assert resolved.identity == f"git:{expected}"
    assert git(tmp_path / "copy", "rev-parse", "HEAD") == expected


def test_unknown_ref_is_refused(checkout: Path, log: Path) -> None:
    change = changes.parse(f"keystone=git+file://{checkout}@no-such", RELEASE)
    with pytest.raises(UsageError, match="no branch, tag or ref 'no-such'"):
        changes.resolve(change, log)


def test_a_tree_that_changes_while_it_is_read_is_refused(
    tree: Path, log: Path, tmp_path: Path
) -> None:
    resolved = changes.resolve(changes.parse(f"keystone={tree}", RELEASE), log)
    (tree / "setup.py").write_text("other = True\n")
    with pytest.raises(UsageError, match=f"{tree} changed while it was read"):
        changes.unpack(resolved, tmp_path / "copy", PINNED, log)


@pytest.mark.parametrize(
    ("described", "version"),
    [
        ("30.0.0-0-gabcdef", "30.0.0"),
        ("30.0.0-7-gabcdef", "30.0.1.dev7"),
        ("v1.2-3-gabcdef\n", "1.2.1.dev3"),
        ("31.0.0.0rc1-0-gabcdef", "31.0.0.0rc1"),
        ("31.0.0.0rc1-4-gabcdef", "31.0.0.dev4"),
        ("newton-eol-4-gabcdef", None),
        ("", None),
    ],
)
def test_version_of_described(described: str, version: str | None) -> None:
    assert changes.version_of(described) == version


# The files that a change modifies.


def touched(path: Path) -> tuple[str, ...]:
    return changes.changed_files([changes.parse(f"keystone={path}", RELEASE)])


def edit(root: Path, name: str, text: str, *, commit: bool = True) -> None:
    (root / name).write_text(text)
    if commit:
        git(root, "add", name)
        git(root, "commit", "--quiet", "--message", name)


def test_where_no_branch_is_known_the_last_commit_is_the_change(checkout: Path) -> None:
    # As Zuul prepares it: the change is a commit on the branch, and there is no remote.
    edit(checkout, "keystone/api.py", "x = 1\n")
    assert touched(checkout) == ("keystone/api.py",)


def test_the_files_of_a_merge_are_those_that_it_changes(checkout: Path) -> None:
    git(checkout, "checkout", "--quiet", "-b", "change", "HEAD^")
    edit(checkout, "keystone/api.py", "x = 1\n")
    git(checkout, "checkout", "--quiet", "master")
    git(checkout, "merge", "--quiet", "--no-ff", "--no-edit", "change")
    assert touched(checkout) == ("keystone/api.py",)


@pytest.mark.parametrize("branch", ["tracking", "no upstream"])
def test_a_change_is_the_difference_between_a_checkout_and_its_branch(
    checkout: Path, tmp_path: Path, branch: str
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(checkout), str(clone))
    if branch == "no upstream":
        git(clone, "checkout", "--quiet", "--no-track", "-b", "topic")
    assert touched(clone) == ()
    edit(clone, "keystone/one.py", "x = 1\n")
    edit(clone, "keystone/two \u00e9.py", "x = 1\n")
    edit(clone, "keystone/__init__.py", "x = 1\n", commit=False)
    assert touched(clone) == ("keystone/__init__.py", "keystone/one.py", "keystone/two \u00e9.py")


def test_modified_files_that_are_unknown_are_left_out(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = changes.parse(f"keystone={checkout}", RELEASE)
    other = changes.parse("nova==34.0.0", RELEASE)
    assert changes.changed_files([one]) == ("keystone/__init__.py",)
    assert changes.changed_files([one, other]) == changes.changed_files([other]) == ()
    edit(checkout, "keystone/api.py", "x = 1\n", commit=False)
    git(checkout, "add", "keystone/api.py")
    monkeypatch.setattr(changes, "_FILES_BOUND", 1)
    assert changes.changed_files([one]) == ()


def test_a_tree_without_a_history_has_no_change(tree: Path, checkout: Path) -> None:
    git(checkout, "checkout", "--quiet", "--orphan", "new")
    git(checkout, "commit", "--quiet", "--message", "x")
    assert touched(checkout) == ()
    (checkout / ".git").rename(checkout.parent / "no-git")
    assert touched(tree) == ()


# A copy of a checkout, on another machine -----------------------------------------------------


def copied(original: Path, target: Path) -> Change:
    """Return the change with a copy of the files that count, as another machine has it."""
    asked = changes.parse(f"keystone={original}", RELEASE)
    snapshot = changes.take_snapshot(asked)
    sources.copy(original, snapshot.files, target)
    carried = json.loads(json.dumps(snapshot.dump()))
    return replace(asked, source=str(target), snapshot=changes.Snapshot.load(carried))


def test_a_copy_of_a_checkout_is_the_same_change(checkout: Path, log: Path, tmp_path: Path) -> None:
    """Also where git tracks what a folder without git would leave out."""
    (checkout / "build").mkdir()
    (checkout / "build" / "tracked.py").write_text("")
    git(checkout, "add", "--force", "build")
    (checkout / "left.log").write_text("ignored")
    there = changes.resolve(copied(checkout, tmp_path / "there"), log)
    assert there.identity == identity(checkout, log)
    assert not (tmp_path / "there" / ".git").exists()
    assert not (tmp_path / "there" / "left.log").exists()
    assert changes.unpack(there, tmp_path / "copy", PINNED, log) == "30.0.1.dev1"
    assert "build/tracked.py" in git(tmp_path / "copy", "ls-files").splitlines()


def test_a_copy_of_what_git_does_not_have_is_the_same_change(
    tree: Path, log: Path, tmp_path: Path
) -> None:
    there = changes.resolve(copied(tree, tmp_path / "there"), log)
    assert there.identity == identity(tree, log)
    assert changes.unpack(there, tmp_path / "copy", PINNED, log) is None
    (tree / "PKG-INFO").unlink()
    without = changes.resolve(copied(tree, tmp_path / "again"), log)
    assert changes.unpack(without, tmp_path / "copy-2", PINNED, log) == "30.0.0"


def test_a_copy_that_was_altered_is_another_change(
    checkout: Path, log: Path, tmp_path: Path
) -> None:
    there = copied(checkout, tmp_path / "there")
    (tmp_path / "there" / "setup.py").write_text("other")
    assert changes.resolve(there, log).identity != identity(checkout, log)
