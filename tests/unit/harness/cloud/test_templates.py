# SPDX-License-Identifier: Apache-2.0
"""Templates: named by the software that made them, and copied completely or not at all."""

import contextlib
import importlib.metadata
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bsdgate.harness import folders
from bsdgate.harness.cloud import templates
from bsdgate.harness.errors import UsageError


@pytest.fixture
def store(tmp_path: Path) -> templates.TemplateStore:
    return templates.TemplateStore(tmp_path / "templates")


@pytest.fixture
def cloud(tmp_path: Path) -> Path:
    """Return the directory of a cloud."""
    folders.make_marked(tmp_path / "cloud")
    return tmp_path / "cloud"


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """Yield the directory of a database with one row, which is only in the write-ahead log."""
    folder = tmp_path / "data"
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(folder / "main.sqlite")) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (x)")
        writer.execute("INSERT INTO t VALUES (7)")
        writer.commit()
        # While a reader is connected, SQLite does not move the log into the database.
        with contextlib.closing(sqlite3.connect(folder / "main.sqlite")) as reader:
            reader.execute("SELECT * FROM t").fetchall()
            yield folder


def rows(folder: Path) -> list[tuple[int]]:
    with contextlib.closing(sqlite3.connect(folder / "main.sqlite")) as connection:
        return connection.execute("SELECT x FROM t").fetchall()


def test_a_copy_includes_the_write_ahead_log(
    store: templates.TemplateStore, data: Path, cloud: Path
) -> None:
    store.keep("schema-x-1", data)
    assert store.copy("schema-x-1", cloud / "copy", inside=cloud) == data
    (cloud / "copy" / "main.sqlite-wal").unlink(missing_ok=True)
    assert rows(cloud / "copy") == [(7,)]


def test_an_unknown_template_does_not_change_the_target(
    store: templates.TemplateStore, data: Path
) -> None:
    assert store.copy("schema-x-1", data, inside=data.parent) is None
    assert rows(data) == [(7,)]


def test_the_target_is_replaced(store: templates.TemplateStore, data: Path, cloud: Path) -> None:
    store.keep("schema-x-1", data)
    (cloud / "copy").mkdir()
    (cloud / "copy" / "old").touch()
    store.copy("schema-x-1", cloud / "copy", inside=cloud)
    assert not (cloud / "copy" / "old").exists()


def test_a_directory_without_a_mark_is_not_replaced(
    store: templates.TemplateStore, data: Path, tmp_path: Path
) -> None:
    store.keep("schema-x-1", data)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "precious").touch()
    with pytest.raises(UsageError, match="has no file"):
        store.copy("schema-x-1", tmp_path / "copy", inside=tmp_path)
    assert (tmp_path / "copy" / "precious").exists()


def test_a_directory_without_a_mark_is_not_removed(
    store: templates.TemplateStore, data: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "templates" / "schema-x-mine"
    theirs.mkdir(parents=True)
    os.utime(theirs, (0, 0))
    for number in range(templates.KEPT + 1):
        store.keep(f"schema-x-{number}", data)
    assert theirs.exists()


def test_a_failure_while_keeping_leaves_nothing(
    store: templates.TemplateStore, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Path, target: Path, *, inside: Path) -> None:
        target.mkdir()
        raise OSError("no room")

    monkeypatch.setattr(templates, "copy_data", fail)
    with pytest.raises(OSError, match="no room"):
        store.keep("schema-x-1", data)
    assert list((tmp_path / "templates").iterdir()) == []


def test_the_least_recently_used_is_removed(
    store: templates.TemplateStore, data: Path, cloud: Path, tmp_path: Path
) -> None:
    names = [f"schema-x-{number}" for number in range(templates.KEPT + 1)]
    for age, name in enumerate(names[:-1]):
        store.keep(name, data)
        os.utime(tmp_path / "templates" / name, (age, age))
    store.copy(names[0], cloud / "copy", inside=cloud)
    store.keep(names[-1], data)
    left = {path.name for path in (tmp_path / "templates").iterdir()}
    assert left == set(names) - {names[1]}


def test_templates_of_other_services_are_not_removed(
    store: templates.TemplateStore, data: Path, tmp_path: Path
) -> None:
    store.keep("schema-y-1", data)
    for number in range(templates.KEPT + 2):
        store.keep(f"schema-x-{number}", data)
    assert (tmp_path / "templates" / "schema-y-1").exists()


def test_a_template_of_another_store_is_added(
    store: templates.TemplateStore, data: Path, tmp_path: Path, cloud: Path
) -> None:
    other = templates.TemplateStore(tmp_path / "other")
    other.keep("schema-x-1", data)
    assert not store.has("schema-x-1")
    for _ in range(2):
        store.add(tmp_path / "other" / "schema-x-1")
    assert store.has("schema-x-1")
    assert store.copy("schema-x-1", cloud / "copy", inside=cloud) == data
    assert rows(cloud / "copy") == [(7,)]


def test_names_differ_by_service_and_are_stable() -> None:
    names = [templates.schema_name(name) for name in ("keystone", "nova")]
    assert len(set(names)) == 2
    assert names == [templates.schema_name(name) for name in ("keystone", "nova")]


def test_another_build_of_a_service_has_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = templates.schema_name("nova")
    cloud_before = templates.cloud_name(["keystone", "nova"])
    distribution = importlib.metadata.distribution

    class Changed:
        version = "34.0.0"

        def read_text(self, _name: str) -> str:
            return "nova/api.py,sha256=another,1\n"

    monkeypatch.setattr(
        importlib.metadata,
        "distribution",
        lambda name: Changed() if name == "nova" else distribution(name),
    )
    assert templates.schema_name("nova") != before
    assert templates.cloud_name(["keystone", "nova"]) != cloud_before


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("nova-34.0.0.dist-info/INSTALLER,sha256=pip,4", True),
        ("nova-34.0.0.dist-info/direct_url.json,sha256=url,4", True),
        ("nova/__pycache__/api.cpython-311.pyc,,", True),
        ("../../../bin/nova-manage,sha256=path,5", True),
        ("nova-34.0.0.dist-info/entry_points.txt,sha256=points,6", False),
        ("nova/compute.py,sha256=code,7", False),
    ],
)
def test_files_that_an_installer_adds_do_not_change_the_name(
    monkeypatch: pytest.MonkeyPatch, line: str, same: bool
) -> None:
    """Another machine has the same wheel, but another installer or other paths."""
    distribution = importlib.metadata.distribution

    def name_with(record: str) -> str:
        fake = SimpleNamespace(version="34.0.0", read_text=lambda _: record)
        monkeypatch.setattr(
            importlib.metadata,
            "distribution",
            lambda name: fake if name == "nova" else distribution(name),
        )
        return templates.schema_name("nova")

    record = "nova/api.py,sha256=one,1\n"
    assert (name_with(record) == name_with(f"{record}{line}\n")) is same
