# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.runners.list_cache: other code or other settings need another list."""

import json
import os
import site
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bsdgate.harness.environments import base
from bsdgate.harness.runners import list_cache

IDS = ["m.A.one[id-1]", "m.A.two"]


# The lists ------------------------------------------------------------------------------------


@dataclass
class Listing:
    """Lists tests, and counts the calls."""

    ids: list[str] = field(default_factory=lambda: [*IDS])
    times: int = 0

    def __call__(self) -> list[str]:
        self.times += 1
        return self.ids


def test_a_list_is_made_once(tmp_path: Path) -> None:
    listing = Listing()
    assert [list_cache.cached(tmp_path / "lists", lambda: "k", listing) for _ in range(3)] == (
        [IDS] * 3
    )
    assert listing.times == 1


def test_a_list_of_another_fingerprint_is_made(tmp_path: Path) -> None:
    list_cache.cached(tmp_path, lambda: "k", Listing())
    assert list_cache.cached(tmp_path, lambda: "other", Listing(["m.B.one"])) == ["m.B.one"]
    assert list_cache.cached(tmp_path, lambda: "k", Listing(["m.B.one"])) == IDS


@pytest.mark.parametrize("fingerprints", [[None], ["before", "after"]])
def test_a_list_without_a_constant_fingerprint_is_not_kept(
    tmp_path: Path, fingerprints: list[str | None]
) -> None:
    each = iter(fingerprints)
    assert list_cache.cached(tmp_path, lambda: next(each), Listing()) == IDS
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"sha256": "", "ids": []}',
        json.dumps({"sha256": list_cache._digest([]), "ids": []}).encode(),
        json.dumps({"sha256": list_cache._digest(IDS), "ids": IDS[:1]}).encode(),
        json.dumps({"sha256": list_cache._digest(IDS), "ids": 7}).encode(),
        b"\xff",
    ],
)
def test_a_damaged_list_is_made_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k.json").write_bytes(content)
    listing = Listing()
    assert list_cache.cached(tmp_path, lambda: "k", listing) == IDS
    assert list_cache.cached(tmp_path, lambda: "k", listing) == IDS
    assert listing.times == 1


def test_the_lists_used_last_are_kept(tmp_path: Path) -> None:
    for number in range(list_cache.KEPT):
        list_cache.cached(tmp_path, str(number).format, Listing())
        os.utime(tmp_path / f"{number}.json", (number, number))
    list_cache.cached(tmp_path, lambda: "0", Listing())
    list_cache.cached(tmp_path, lambda: "new", Listing())
    kept = {each.stem for each in tmp_path.iterdir()}
    assert kept == {"new", "0", *map(str, range(2, list_cache.KEPT))}


# The fingerprint ------------------------------------------------------------------------------


CONFIG = """\
[DEFAULT]
resource_name_prefix = one
debug = False
[compute]
flavor_ref = 1
[identity]
uri = http://one
[a-b]
option = y,x
"""


@dataclass
class Installed:
    """An environment: packages, a layer over them, an editable checkout, and tempest.conf."""

    root: Path

    def __post_init__(self) -> None:
        self.packages = self.root / "base" / "site-packages"
        self.layer = self.root / "layer" / "lib" / "python3.11" / "site-packages"
        self.checkout = self.root / "checkout"
        for folder in (self.packages, self.layer, self.checkout):
            (folder / "project").mkdir(parents=True)
            (folder / "project" / "tests.py").write_text("before")
        (self.packages / "project.pth").write_text(f"import sys\n\n{self.checkout}\nnothing\n")
        self.config = self.root / "tempest.conf"
        self.config.write_text(CONFIG)

    def fingerprint(self) -> str | None:
        return list_cache.fingerprint(self.root / "layer" / "bin" / "python", self.config)

    def without_layer(self) -> str | None:
        return list_cache.fingerprint(Path(sys.executable), self.config)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    made = Installed(tmp_path)
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(made.packages)])
    monkeypatch.setattr(base, "roots", lambda: [made.packages])
    return made


def _edit(file: Path) -> None:
    file.write_text("after, longer")


def _touch(file: Path) -> None:
    os.utime(file, (1, 1))


def _replace(file: Path) -> None:
    """Replace a file by another one with the same size and time."""
    other, before = file.with_name("other"), file.stat()
    other.write_text("BEFORE")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(file)


def _add(file: Path) -> None:
    file.with_name("more.py").touch()


@pytest.mark.parametrize("change", [_edit, _touch, _replace, _add, Path.unlink])
@pytest.mark.parametrize("where", ["packages", "layer", "checkout"])
def test_a_change_of_code_changes_the_fingerprint(
    installed: Installed, where: str, change: Callable[[Path], object]
) -> None:
    before = installed.fingerprint()
    assert installed.fingerprint() == before
    folder: Path = getattr(installed, where)
    change(folder / "project" / "tests.py")
    assert installed.fingerprint() not in {before, None}


def test_a_layer_changes_the_fingerprint(installed: Installed) -> None:
    assert installed.fingerprint() != installed.without_layer()


def test_byte_code_does_not_change_the_fingerprint(installed: Installed) -> None:
    before = installed.fingerprint()
    (installed.packages / "project" / "tests.pyc").touch()
    assert installed.fingerprint() == before


def test_code_of_an_import_hook_has_no_fingerprint(installed: Installed) -> None:
    (installed.packages / "__editable___project_finder.py").touch()
    assert installed.fingerprint() is None


def test_code_that_cannot_be_read_has_no_fingerprint(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "roots", lambda: [installed.root / "absent"])
    assert installed.fingerprint() is None


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("http://one", "http://two", True),
        ("resource_name_prefix = one", "resource_name_prefix = two", True),
        ("flavor_ref = 1", "flavor_ref = 2", True),
        ("y,x", "x,y", True),
        ("y,x", "x,y,z", False),
        ("y,x", "y,x\nother = 1", False),
        ("debug = False", "debug = True", False),
        ("[identity]", "[other]", False),
    ],
)
def test_settings_change_the_fingerprint_unless_each_run_has_its_own(
    installed: Installed, old: str, new: str, same: bool
) -> None:
    before = installed.fingerprint()
    installed.config.write_text(CONFIG.replace(old, new))
    assert (installed.fingerprint() == before) is same
