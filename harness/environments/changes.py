# SPDX-License-Identifier: Apache-2.0
"""Changes under test: the option ``--with``, and the code that it selects."""

import difflib
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from bsdgate.harness import process
from bsdgate.harness.command_line import HIDDEN, without_url_passwords
from bsdgate.harness.environments import git, sources
from bsdgate.harness.errors import UsageError
from bsdgate.harness.manifest import AskedProject, ChangedProject
from bsdgate.harness.profiles import releases

# Projects that have another name in the package index.
_DISTRIBUTIONS: Final = {"placement": "openstack-placement"}
_FORMS: Final = "--with keystone=PATH, keystone=git+URL@REF or keystone==VERSION"
_CHANGE = re.compile(r"(?P<project>[A-Za-z0-9][A-Za-z0-9._-]*)=(?P<equals>=?)(?P<source>.+)")
_GIT = re.compile(r"git\+(?P<url>[^@]+(?:@[^@/:]+[:/][^@]+)?)@(?P<ref>[^@]+)")
# git and ssh read an argument that begins with a hyphen as an option.
_REMOTE = re.compile(
    rf"(?:{'|'.join(git.REMOTE_PROTOCOLS)})://(?!-)(?![^/]*@-)[^/]*/.+"
    r"|(?:[A-Za-z0-9_][\w.-]*@)?[A-Za-z0-9_][\w.-]*:(?!:|-|//).+"
    r"|/.+"
)
_REF = re.compile(r"[^\s-]\S*")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DESCRIBED = re.compile(r"v?(?P<tag>\d+(?:\.\d+)*)(?P<pre>[^-]*)-(?P<since>\d+)-g[0-9a-f]+")
# The branches that a checkout's own branch may be based on.
_BRANCHES: Final = ("@{upstream}", "refs/remotes/origin/HEAD")
_FILES_BOUND: Final = 500


@dataclass(frozen=True)
class Snapshot:
    """The data about a checkout that a copy of its files lacks.

    ``files`` are the files of the project, ``tracked`` is whether git tracks them, and ``version``
    is the version by the tags.
    """

    files: tuple[Path, ...]
    tracked: bool
    version: str | None

    def dump(self) -> dict[str, Any]:
        """Return the snapshot as a JSON object."""
        return {
            "files": [str(each) for each in self.files],
            "tracked": self.tracked,
            "version": self.version,
        }

    @classmethod
    def load(cls, fields: Mapping[str, Any]) -> Self:
        """Return the snapshot in the output of ``dump``."""
        return cls(tuple(map(Path, fields["files"])), fields["tracked"], fields["version"])


@dataclass(frozen=True)
class Change:
    """A project that is used with other code than the release's."""

    project: str
    distribution: NormalizedName
    kind: Literal["path", "git", "version"]
    source: str
    """An absolute path, a URL, or a version."""
    ref: str = ""
    """With git: a branch, tag, commit or Gerrit ref."""
    snapshot: Snapshot | None = None
    """The data about the checkout, if ``source`` is the path of a copy of it."""

    def __str__(self) -> str:
        """Return the change in the form of ``--with``, without a password."""
        place = f"git+{self.source}@{self.ref}" if self.kind == "git" else self.source
        return f"{self.project}={without_url_passwords(place)}"


@dataclass(frozen=True)
class Resolved:
    """A change and the identity of its code: the same identity means the same code."""

    change: Change
    identity: str
    files: tuple[Path, ...] = ()
    """With a path: the source files, relative to it."""

    @property
    def asked(self) -> AskedProject:
        """The change in the form of the manifest."""
        source = str(self.change).partition("=")[2]
        return AskedProject(project=self.change.project, source=source, identity=self.identity)

    def named(self, version: str) -> ChangedProject:
        """Return the change in the form of ``node.json``, built as ``version``."""
        return ChangedProject(version=version, **self.asked.model_dump())


def parse(text: str, release: str) -> Change:
    """Return the change of ``--with TEXT``.

    :raises UsageError: the text has another form, or the release has no such project.
    """
    match = _CHANGE.fullmatch(text.strip())
    if match is None:
        raise _refusal(text, "is not PROJECT=SOURCE")
    project, source = match["project"], match["source"].strip()
    distribution = _find_distribution(project, release)
    if match["equals"] or _is_version(source):
        if not _is_version(source):
            raise _refusal(text, f"{source!r} is not a version")
        return Change(project, distribution, "version", str(Version(source)))
    if source.startswith("git+"):
        return Change(project, distribution, "git", *_parse_git(text, source))
    try:
        folder = Path(source).expanduser().absolute()
    except RuntimeError as error:
        raise _refusal(text, str(error), "write the whole path") from error
    if not any((folder / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg")):
        raise _refusal(
            text,
            f"{folder} is not the checkout of a Python project",
            f"it needs a pyproject.toml, setup.cfg or setup.py; or write {_FORMS}",
        )
    return Change(project, distribution, "path", str(folder))


def _parse_git(text: str, source: str) -> tuple[str, str]:
    git_source = _GIT.fullmatch(source)
    if git_source is None:
        raise _refusal(text, "has no branch, tag or commit")
    url, ref = git_source["url"], git_source["ref"]
    if not _REMOTE.fullmatch(url):
        allowed = ", ".join(f"{each}://" for each in git.REMOTE_PROTOCOLS)
        hint = f"give a URL with {allowed}, HOST:PATH or /PATH"
        raise _refusal(text, "bsdgate does not fetch from this kind of URL", hint)
    if f"{HIDDEN}@" in url:
        hint = "keep it in ~/.netrc or a git credential helper, not in the URL"
        raise _refusal(text, "the password in the URL was not recorded", hint)
    if not _REF.fullmatch(ref):
        raise _refusal(text, f"{ref!r} is not a branch, tag or commit")
    return url, ref


def _refusal(text: str, what: str, hint: str = f"write {_FORMS}") -> UsageError:
    return UsageError(without_url_passwords(f"--with {text}: {what}"), hint)


def parse_all(texts: Sequence[str], release: str) -> tuple[Change, ...]:
    """Return the changes of several ``--with``.

    :raises UsageError: one of them is wrong, or two change the same project.
    """
    parsed: dict[str, Change] = {}
    for text in texts:
        change = parse(text, release)
        if change.distribution in parsed:
            first = parsed[change.distribution]
            raise UsageError(
                f"--with {first} and --with {change} change the same project", "choose one of them"
            )
        parsed[change.distribution] = change
    return tuple(parsed.values())


def resolve(change: Change, log: Path) -> Resolved:
    """Return the change with the identity of its code: a version, a commit, or a digest.

    ``log`` receives the output of git.

    :raises UsageError: there is no such branch, tag or commit, or a file cannot be read.
    """
    if change.kind == "version":
        return Resolved(change, f"version:{change.source}")
    if change.kind == "git":
        return Resolved(change, f"git:{_find_commit(change, log)}")
    root = Path(change.source)
    listed = change.snapshot.files if change.snapshot else sources.find(root, log)
    return Resolved(change, f"sha256:{sources.digest(root, listed)}", listed)


def take_snapshot(change: Change) -> Snapshot:
    """Return the data about a change with a path that a copy of its files lacks.

    :raises UsageError: a file cannot be read.
    """
    root = Path(change.source)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "git.log"
        tracked = (root / ".git").exists()
        version = _described_version(root, log) if tracked else None
        return Snapshot(sources.find(root, log), tracked, version)


def changed_files(changes: Sequence[Change]) -> tuple[str, ...]:
    """Return the files that a single change under test modifies, relative to its project.

    They are the differences between a checkout and the branch that it is based on, also those that
    are not committed. The checkout of a Zuul job has no other branch: there they are the files of
    the last commit, which is the change itself. The result is empty where the files are unknown:
    with several projects, without a git checkout, and with too many files for one change.
    """
    if len(changes) != 1 or changes[0].kind != "path":
        return ()
    root = Path(changes[0].source)
    if not (root / ".git").exists():
        return ()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "git.log"
        base = _find_base(root, log)
        listing = _list_changed(root, base, log) if base else b""
    names = [name.decode("utf-8", "replace") for name in listing.split(b"\0") if name]
    return tuple(names) if len(names) <= _FILES_BOUND else ()


def unpack(resolved: Resolved, into: Path, pinned: Version, log: Path) -> str | None:
    """Copy the files of a change to the new directory ``into``; the user's checkout is only read.

    Return the version for the build: from git's tags, or ``pinned`` without tags. Return None if
    the files contain the version, as a source distribution does.

    :raises UsageError: the files have changed since the change was resolved.
    """
    change = resolved.change
    if change.kind == "git":
        _clone(resolved, into, log)
        return str(pinned)
    root = Path(change.source)
    sources.copy(root, resolved.files, into)
    if f"sha256:{sources.digest(into, resolved.files)}" != resolved.identity:
        raise UsageError(f"{root} changed while it was read", "try again when no program writes it")
    if (into / "PKG-INFO").is_file():
        return None
    known = change.snapshot
    if not (known.tracked if known else (root / ".git").exists()):
        return str(pinned)
    # pbr takes the list of data files from git: an index without commits is enough for it.
    git.fetch(into, "init", "--quiet", "--template=", log=log)
    git.read(into, "add", "--force", "--all", log=log)
    return (known.version if known else _described_version(root, log)) or str(pinned)


def version_of(described: str) -> str | None:
    """Return pbr's version for this output of ``git describe --long``; None without a release."""
    match = _DESCRIBED.fullmatch(described.strip())
    if match is None:
        return None
    tag, since = match["tag"] + match["pre"], int(match["since"])
    if not _is_version(tag):
        return None
    version = Version(tag)
    if since == 0:
        return str(version)
    numbers = [*version.release, 0, 0][:3]
    # A pre-release precedes its own number; any other commit precedes the next number.
    if not version.is_prerelease:
        numbers[2] += 1
    return f"{'.'.join(map(str, numbers))}.dev{since}"


def _find_distribution(project: str, release: str) -> NormalizedName:
    pins = releases.pins(release)
    wanted = canonicalize_name(_DISTRIBUTIONS.get(project, project))
    if wanted in pins:
        return wanted
    near = difflib.get_close_matches(wanted, [*pins, *_DISTRIBUTIONS], n=3)
    raise UsageError(
        f"--with {project}: OpenStack {release} has no project of that name",
        f"did you mean {' or '.join(near)}?" if near else f"see {releases.constraints(release)}",
    )


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _find_base(root: Path, log: Path) -> str | None:
    """Return the commit before the change of a checkout; None if it has fewer than two commits."""
    for command in (
        *(("merge-base", "HEAD", branch) for branch in _BRANCHES),
        ("rev-parse", "HEAD^"),
    ):
        try:
            return git.read(root, *command, log=log).decode().strip()
        except process.ProcessError:
            continue
    return None


def _list_changed(root: Path, base: str, log: Path) -> bytes:
    shown = ("--name-only", "-z", "--no-ext-diff", "--no-textconv", "--ignore-submodules")
    return git.read(root, "diff", *shown, base, "--", log=log)


def _find_commit(change: Change, log: Path) -> str:
    if _COMMIT.fullmatch(change.ref):
        return change.ref
    wanted = (change.ref, f"{change.ref}^{{}}")
    listing = git.fetch(log.parent, "ls-remote", "--", change.source, *wanted, log=log)
    lines = [line.split("\t") for line in listing.decode().splitlines()]
    commits = {name: commit for commit, name in lines}
    names = (f"refs/tags/{change.ref}^{{}}", f"refs/tags/{change.ref}", f"refs/heads/{change.ref}")
    for name in (*names, change.ref):
        if name in commits:
            return commits[name]
    raise UsageError(
        f"{without_url_passwords(change.source)} has no branch, tag or ref {change.ref!r}",
        "give a branch, a tag, a whole commit id, or a ref such as refs/changes/34/1234/5",
    )


def _clone(resolved: Resolved, into: Path, log: Path) -> None:
    into.mkdir(parents=True)
    commit = resolved.identity.removeprefix("git:")
    git.fetch(into, "init", "--quiet", "--template=", log=log)
    options = ("--quiet", "--depth=1", "--no-recurse-submodules", "--")
    git.fetch(into, "fetch", *options, resolved.change.source, commit, log=log)
    git.fetch(into, "checkout", "--quiet", "--detach", "FETCH_HEAD", log=log)


def _described_version(root: Path, log: Path) -> str | None:
    try:
        described = git.read(root, "describe", "--tags", "--long", "--abbrev=40", log=log)
    except process.ProcessError:
        return None
    return version_of(described.decode())
