# SPDX-License-Identifier: Apache-2.0
"""Run directories like those of the harness, with recorded or generated streams."""

import hashlib
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from subunit.v2 import StreamResultToBytes

from bsdgate.results.attempts import IDENTITY
from bsdgate.results.judge import judge_run
from bsdgate.results.model import Verdict
from bsdgate.results.parsers.subunit import StreamReader

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
RUN_ID = "5f0c5a1e6a8b4c0d9e7f3a2b1c0d9e8f"

KINDS = {
    "subunit": ("tempest", "asked.txt", "stream.subunit"),
    "junit": ("hostchecks", "asked.txt", "stream.xml"),
    "rally": ("rally", "asked.json", "stream.json"),
}


def seal(stream: bytes, attempt: str, run_id: str = RUN_ID) -> bytes:
    """Append the seal that the harness writes at the end of a runner's output."""
    reader = StreamReader()
    reader.feed(stream)
    return stream + reader.make_seal(run_id, attempt)


class RunDir:
    """A run directory; its methods write files like those of the harness."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest: dict[str, Any] = {
            "schema": 1,
            "run_id": RUN_ID,
            "name": "made-up",
            "created": "2026-11-22T12:00:00+00:00",
            "bsdgate_version": "0.1",
            "profile": "embedded",
            "suite": "smoke",
            "release": "2026.2",
            "selection": None,
            "evidence": ["tempest"],
            "with": [{"project": "keystone", "version": "30.0.0", "identity": "sha256:12"}],
            "change": None,
            "patchset": None,
        }
        self.node: dict[str, str] | None = None
        path.mkdir()
        self.write_manifest()

    def write_manifest(self) -> None:
        (self.path / "manifest.json").write_text(json.dumps(self.manifest))

    def on_node(self, **fields: Any) -> None:
        """Change the run to the current schema, with ``fields`` in its node.json."""
        document = {
            "schema": 1,
            "run_id": RUN_ID,
            "name": "local",
            "facts": {},
            "versions": {},
            "with": self.manifest["with"],
            **fields,
        }
        content = json.dumps(document).encode()
        (self.path / "node.json").write_bytes(content)
        self.node = {"name": "local", "sha256": hashlib.sha256(content).hexdigest()}
        self.manifest["schema"] = 3
        self.write_manifest()

    def requires(self, *kinds: str) -> None:
        self.manifest["evidence"] = list(kinds)
        self.write_manifest()

    def attempt(
        self, name: str, asked: bytes, stream: bytes, parser: str = "subunit", **head: Any
    ) -> Path:
        """Write one attempt; ``head`` replaces fields of its attempt.json."""
        kind, asked_name, stream_name = KINDS[parser]
        # Some tests write an invalid list.
        count = asked.count(b'"name"') if parser == "rally" else len(asked.split())
        folder = self.path / "evidence" / name
        folder.mkdir(parents=True)
        (folder / asked_name).write_bytes(asked)
        (folder / stream_name).write_bytes(stream)
        fields = {
            "schema": 1,
            **{key: self.manifest[key] for key in IDENTITY},
            "name": name,
            "kind": kind,
            "format": parser,
            "asked": asked_name,
            "count": count,
            "stream": stream_name,
            "exit_status": 0,
            "state": "ended",
            "started": "2026-11-22T12:00:00+00:00",
            "ended": "2026-11-22T12:01:00+00:00",
            "sha256": {
                asked_name: hashlib.sha256(asked).hexdigest(),
                stream_name: hashlib.sha256(stream).hexdigest(),
            },
            "problems": [],
            **({"schema": 3, "node": self.node} if self.node else {}),
        }
        (folder / "attempt.json").write_text(json.dumps(fields | head))
        begun = {"t": fields["started"], "step": "attempt", "event": "begin", "name": name}
        with (self.path / "journal.jsonl").open("a") as journal:
            journal.write(json.dumps(begun) + "\n")
        return folder

    def recorded(self, parser: str, case: str, name: str = "01-recorded", **head: Any) -> Path:
        """Write one attempt from a golden recording."""
        folder = GOLDEN / parser / case
        facts = json.loads((folder / "recorded.json").read_text())
        stream = (folder / facts["stream"]).read_bytes()
        if parser == "subunit":
            stream = seal(stream, name)
        self.requires(KINDS[parser][0])
        asked = (folder / facts["asked"]).read_bytes()
        # The time of the recording is unknown; the judge would compare it with that of reports.
        known = {"exit_status": facts["exit_status"], "started": None, "ended": None}
        return self.attempt(name, asked, stream, parser, **known | head)

    def judge(self, *expectations: Path) -> Verdict:
        return judge_run(self.path, expectations)


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


@pytest.fixture
def subunit_stream() -> Callable[..., bytes]:
    """Return a function that makes a stream of (id, status) pairs or arguments of packets."""

    def make(*packets: tuple[str, str] | dict[str, Any]) -> bytes:
        out = BytesIO()
        writer = StreamResultToBytes(out)
        for packet in packets:
            if isinstance(packet, tuple):
                packet = {"test_id": packet[0], "test_status": packet[1]}
            writer.status(**packet)
        return out.getvalue()

    return make


@pytest.fixture
def sealed() -> Callable[..., bytes]:
    return seal
