# SPDX-License-Identifier: Apache-2.0
"""The caller's data that a change under test can read, and files that it writes to the base."""

import json
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from functional.place import Place
from functional.run_folder import KEYSTONE, TWO, assert_nothing_left, runs

pytestmark = [pytest.mark.timeout(600), pytest.mark.downloads]

ONE = r"tempest\.api\.identity\.v3\.test_api_discovery\.TestApiDiscovery\.test_list_api_versions"
SECRET = "swordfish"
PLANTED = Path(sysconfig.get_path("purelib")) / "planted.pth"
VARIABLES = (
    "ANSIBLE_VAULT_PASSWORD_FILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "CI_JOB_TOKEN",
    "DBUS_SESSION_BUS_ADDRESS",
    "GITHUB_TOKEN",
    "GIT_INDEX_FILE",
    "GNUPGHOME",
    "GPG_AGENT_INFO",
    "KUBECONFIG",
    "LC",
    "NPM_TOKEN",
    "OS_CLOUD",
    "OS_PASSWORD",
    "PIP_KEYRING_PROVIDER",
    "PYTEST_ADDOPTS",
    "PYTHONUSERBASE",
    "SSH_AGENT_PID",
    "SSH_AUTH_SOCK",
    "STESTR_CONCURRENCY",
    "SUDO_COMMAND",
    "TEMPEST_CONFIG_DIR",
    "TWINE_PASSWORD",
    "UV_INDEX_SITE_PASSWORD",
    "UV_PUBLISH_TOKEN",
    "VIRTUAL_ENV",
    "ZUUL_CHANGE_MESSAGE",
)
LISTED = r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|LD_LIBRARY_PATH"
# The shell that starts a command sets these.
SHELLS = r"PWD|OLDPWD|SHLVL|_"
# The variable that bsdgate sets for a service.
SERVICES = r"OS_KEYSTONE_CONFIG_DIR"
# The last of these are set by uv and setuptools.
BUILDS = (
    r"(?i:https?_proxy|all_proxy|no_proxy)|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|"
    r"UV_(CACHE_DIR|DEFAULT_INDEX|FIND_LINKS|INDEX\w*|INTERNAL__\w+|LINK_MODE|OFFLINE)|"
    r"UV_PYTHON_DOWNLOADS|PBR_VERSION|SKIP_\w+|PEP517_\w+|VIRTUAL_ENV|UV|PYTHONIOENCODING|PLAT"
)

# At build time: note the variables, and have every Python of the environment do so as it starts.
SETUP = """
import json, os, pathlib, sysconfig
own = pathlib.Path(sysconfig.get_path("purelib"))
(own / "seen-build-0.json").write_text(json.dumps([["setup.py"], dict(os.environ)]))
(own / "zz-seen.pth").write_text(
    "import json, os, sys; "
    f"open({str(own)!r} + f'/seen-start-{{os.getpid()}}.json', 'w')"
    ".write(json.dumps([sys.orig_argv, dict(os.environ)]))\\n"
)
"""
# When Keystone serves: note the variables, and write to the base.
SERVICE = f"""
import json, os, pathlib, tempest
pathlib.Path(__file__).with_name("seen-service-0.json").write_text(
    json.dumps([["keystone"], dict(os.environ)])
)
pathlib.Path({str(PLANTED)!r}).write_text("# planted\\n")
"""


@pytest.fixture
def hostile(checkout: Path) -> Iterator[Path]:
    """Return a Keystone that records its environment, and writes code that later runs would run."""
    for path, code in (("setup.py", SETUP), ("keystone/api/policy.py", SERVICE)):
        (checkout / path).write_text((checkout / path).read_text() + code)
    yield checkout
    PLANTED.unlink(missing_ok=True)


def seen(cache: Path, kind: str) -> list[tuple[str, dict[str, str]]]:
    """Return the command line and the variables of each process of a kind that noted them."""
    files = cache.glob(f"environments/*/environment/lib/**/seen-{kind}-*.json")
    found = [json.loads(each.read_text()) for each in files]
    return [(" ".join(argv), env) for argv, env in found]


def assert_only(variables: dict[str, str], *listed: str) -> None:
    allowed = re.compile("|".join((LISTED, SHELLS, *listed)))
    assert [name for name in variables if not allowed.fullmatch(name)] == []
    assert [name for name, value in variables.items() if SECRET in value] == []


def test_a_change_sees_no_secret_and_leaves_nothing_for_later_runs(
    place: Place, tmp_path: Path, hostile: Path
) -> None:
    planted = dict.fromkeys(VARIABLES, SECRET) | {
        "BSDGATE_HISTORY_URL": f"sqlite:///{tmp_path}/{SECRET}.sqlite",
        "PYTHONPATH": f"/nowhere/{SECRET}",
    }
    asked = ("run", "--with", f"keystone={hostile}", *KEYSTONE, "--tests", ONE, *TWO)
    done = place.bsdgate(*asked, **planted)
    ((_, build),) = seen(place.cache, "build")
    assert_only(build, BUILDS)
    ((_, service),) = seen(place.cache, "service")
    assert_only(service, SERVICES)
    # The tests run in the environment without the change, so its code does not see their start.
    started = [argv for argv, _ in seen(place.cache, "start")]
    assert started
    assert [argv for argv in started if "subunit" in argv] == []
    # The test passed, but proves nothing: the planted code would run in later runs.
    assert done.code == 3, done
    assert str(PLANTED) in done.text
    verdict = runs(place)[-1].verdict
    assert (verdict["result"], verdict["counts"]["fail"]) == ("ERROR", 0)
    (reason,) = [each for each in verdict["reasons"] if each["level"] == "error"]
    assert str(PLANTED) in reason["message"]
    assert_nothing_left(place, [])
