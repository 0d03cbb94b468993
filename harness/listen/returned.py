# SPDX-License-Identifier: Apache-2.0
"""The data that the trusted post-run of a job returns: where its verdict is, with the digest.

The data is in Zuul's message (``bsdgate`` in the returned data), and in the metadata of an artifact
with the key ``bsdgate``, which Zuul's API has too. If both exist, they must be equal.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bsdgate.harness.listen.zuul import Artifact, Text
from bsdgate.results import strict_json
from bsdgate.results.model import Result

KEY: Final = "bsdgate"

FILE_BOUND: Final = 64 << 20
"""The maximum size of a file in bytes."""

# Without dots at the beginning of a part, no path leaves the folder of the logs.
_PART: Final = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
Relative = Annotated[str, Field(pattern=rf"^{_PART}(/{_PART})*$")]


class UnusableError(Exception):
    """A build has no usable verdict; the text is the reason."""


class File(BaseModel):
    """A file below the log URL of the build."""

    model_config = ConfigDict(frozen=True)

    path: Relative
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0, le=FILE_BOUND)


class Item(BaseModel):
    """A change that was tested together with the change: one of Zuul's items."""

    model_config = ConfigDict(frozen=True)

    project: str
    change: Text = ""
    patchset: Text = ""


class Returned(BaseModel):
    """The data; ``items`` are all changes that were tested together, as in ``zuul.items``."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    version: Literal[1] = Field(alias="schema")
    run_id: str
    result: Result
    change: Text
    patchset: Text
    verdict: File
    comments: File | None = None
    items: tuple[Item, ...] | None = None


def has_document(artifacts: Sequence[Artifact]) -> bool:
    """Return whether the data is in the metadata of an artifact."""
    return any(KEY in each.metadata for each in artifacts)


def find(data: Sequence[Mapping[str, Any]], artifacts: Sequence[Artifact]) -> Returned:
    """Return what a build has returned; ``data`` is from each message about it.

    :raises UnusableError: it has returned nothing, or not one valid document.
    """
    found = [each[KEY] for each in data if KEY in each]
    found += [each.metadata[KEY] for each in artifacts if KEY in each.metadata]
    if not found:
        raise UnusableError("its post-run returned no verdict")
    try:
        documents = [Returned.model_validate(each) for each in found]
    except ValidationError as error:
        raise UnusableError(f"its post-run returned {strict_json.explain(error)}") from None
    if any(each != documents[0] for each in documents):
        raise UnusableError("it returned two verdicts")
    return documents[0]
