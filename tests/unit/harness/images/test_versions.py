# SPDX-License-Identifier: Apache-2.0
"""Names of versions."""

import pytest

from bsdgate.harness.errors import UsageError
from bsdgate.harness.images.versions import Version, folders_of_versions


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("15.1", Version("15.1")),
        ("15.1-RELEASE", Version("15.1", "RELEASE")),
        ("15.2-RC1", Version("15.2", "RC1")),
        ("15.2-BETA3", Version("15.2", "BETA3")),
        ("16.0-CURRENT", Version("16.0", "CURRENT")),
        ("15.0-STABLE-20251022", Version("15.0", "STABLE", "20251022")),
        (
            "15.0-STABLE-20251022-2427ae41b7cf-280773",
            Version("15.0", "STABLE", "20251022", "2427ae41b7cf-280773"),
        ),
    ],
)
def test_a_name_is_a_version(text: str, version: Version) -> None:
    assert Version.parse(text) == version
    assert Version.parse(str(version)) == version


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("15.1", True),
        ("15.2-RC1", True),
        ("15.1-STABLE", False),
        ("16.0-CURRENT-20251022", False),
        ("16.0-CURRENT-20251022-2427ae41b7cf-280773", True),
        ("15.0-ALPHA2", False),
    ],
)
def test_only_images_that_never_change_have_an_exact_version(text: str, exact: bool) -> None:
    assert Version.parse(text).is_exact is exact


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("15.1-RELAESE", "the nearest is 15.1-RELEASE"),
        ("16.0-current", "the nearest is 16.0-CURRENT"),
        ("15.1-RELEASE-p3", "the nearest is 15.1-RELEASE"),
        ("15.1-RELEASE-20251022", "use 15.1-RELEASE"),
        ("freebsd", "give a version such as 15.1, 15.1-RELEASE"),
        ("15", "give a version such as 15.1, 15.1-RELEASE"),
        ("", "give a version such as 15.1, 15.1-RELEASE"),
    ],
)
def test_a_wrong_name_is_an_error_with_the_nearest_one(text: str, advice: str) -> None:
    with pytest.raises(UsageError) as error:
        Version.parse(text)
    assert repr(text) in error.value.message
    assert advice in (error.value.hint or "")


def test_versions_are_found_among_folders_and_sorted_by_number() -> None:
    names = ["15.1-RELEASE", "README.TXT", "9.3-RELEASE", "15.1-BETA2", "..", "14.3-RELEASE"]
    found = [str(version) for version in folders_of_versions(names)]
    assert found == ["9.3-RELEASE", "14.3-RELEASE", "15.1-BETA2", "15.1-RELEASE"]
