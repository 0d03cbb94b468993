# SPDX-License-Identifier: Apache-2.0
"""A run's evidence in memory, its streams taken apart into packets, and put back to the disk."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from subunit.v2 import ByteStreamToStreamResult

from bsdgate.results.parsers.subunit import StreamReader

SEAL = "bsdgate.seal"


@dataclass(frozen=True)
class Packet:
    """One packet of a subunit stream and what python-subunit reads in it."""

    data: bytes
    test_id: str | None
    status: str | None
    file_name: str | None
    tags: frozenset[str]
    reported: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """All fields that python-subunit reports, to write the packet again."""

    @property
    def worker(self) -> str | None:
        return next((tag for tag in self.tags if tag.startswith("worker-")), None)


class _Taker:
    """Takes what ByteStreamToStreamResult reports, with the bytes that it has just read."""

    def __init__(self, stream: "_Counting") -> None:
        self.stream = stream
        self.at = 0
        self.packets: list[Packet] = []

    def startTestRun(self) -> None:  # noqa: N802 - testtools' name
        pass

    def stopTestRun(self) -> None:  # noqa: N802 - testtools' name
        pass

    def status(self, **reported: Any) -> None:
        data = self.stream.getvalue()[self.at : self.stream.tell()]
        self.at = self.stream.tell()
        tags = frozenset(reported["test_tags"] or ())
        self.packets.append(
            Packet(
                data,
                reported["test_id"],
                reported["test_status"],
                reported["file_name"],
                tags,
                reported,
            )
        )


class _Counting(BytesIO):
    """Hands out no more than is asked for, so that ``tell`` is the end of the last packet."""


def packets(stream: bytes) -> list[Packet]:
    """Take a whole stream apart."""
    source = _Counting(stream)
    taker = _Taker(source)
    ByteStreamToStreamResult(source).run(taker)
    assert b"".join(each.data for each in taker.packets) == stream
    return taker.packets


def resealed(run: "Evidence", path: str, stream: bytes) -> "Evidence":
    """Put another stream in place of that at ``path``, with a seal that fits it."""
    head = json.loads(run.files[str(Path(path).with_name("attempt.json"))])
    reader = StreamReader()
    list(reader.feed(stream))
    return run.with_file(path, stream + reader.make_seal(head["run_id"], head["name"]))


@dataclass(frozen=True)
class Evidence:
    """A run's files that the judge reads: their content by their path in the run directory."""

    name: str
    files: dict[str, bytes]

    @classmethod
    def of(cls, name: str, run_dir: Path) -> "Evidence":
        """Read a run directory."""
        heads = [run_dir / "manifest.json", run_dir / "journal.jsonl"]
        paths = [*heads, *(run_dir / "evidence").rglob("*")]
        found = {str(path.relative_to(run_dir)): path for path in paths if path.is_file()}
        return cls(name, {path: file.read_bytes() for path, file in sorted(found.items())})

    def find(self, *suffixes: str) -> list[str]:
        """Return the paths that end so."""
        return [path for path in self.files if path.endswith(suffixes)]

    def with_file(self, path: str, content: bytes | None) -> "Evidence":
        """Return the same evidence with another content of a file, or without the file."""
        files = {key: value for key, value in self.files.items() if key != path}
        return replace(self, files=files if content is None else files | {path: content})

    def without_folder(self, folder: str) -> "Evidence":
        files = {key: value for key, value in self.files.items() if not key.startswith(folder)}
        return replace(self, files=files)

    def edited(self, path: str, edit: Callable[[Any], None]) -> "Evidence":
        """Return the same evidence with a JSON file edited in place."""
        fields = json.loads(self.files[path])
        edit(fields)
        return self.with_file(path, json.dumps(fields).encode())

    def digested(self) -> "Evidence":
        """Return the same evidence with the digests of its files as they are now."""
        found = self
        for path in self.find("/attempt.json"):
            try:
                fields = json.loads(self.files[path])
                digests = {name: self._digest(path, name) for name in fields["sha256"]}
            except (ValueError, KeyError, TypeError):
                continue  # what is no attempt.json has no digests to mend
            found = found.with_file(path, json.dumps(fields | {"sha256": digests}).encode())
        return found

    def _digest(self, attempt: str, name: str) -> str | None:
        content = self.files.get(str(Path(attempt).with_name(name)))
        return None if content is None else hashlib.sha256(content).hexdigest()

    def write(self, folder: Path) -> Path:
        """Write the run directory anew."""
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "evidence").mkdir(parents=True)
        for path, content in self.files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return folder

    def streams(self) -> Iterator[str]:
        yield from self.find("/stream.subunit", "/stream.xml", "/stream.json")
