# SPDX-License-Identifier: Apache-2.0
"""A standing cloud as a deployment, with a fake cloud."""

import json
import os
from pathlib import Path

import pytest
from fakes.cloud import ENTRY, FakeCloud
from unit.harness.deployments.test_contract import DeploymentContract, drop

from bsdgate.harness import request_log
from bsdgate.harness.deployments import audit, standing, sweep
from bsdgate.harness.deployments.base import Deployment
from bsdgate.harness.deployments.connection import RefusedError
from bsdgate.harness.deployments.ownership import REQUESTS, Mark
from bsdgate.harness.deployments.standing import Standing
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.manifest import AskedCloud
from bsdgate.harness.profiles.load import load
from bsdgate.harness.request_log import RequestLog
from bsdgate.results.codes import Code
from bsdgate.results.errors import BsdgateError

RUN_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BSDGATE_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def cloud() -> FakeCloud:
    cloud = FakeCloud()
    cloud.add("network", id="theirs", name="theirs")
    return cloud


def standing_in(
    tmp_path: Path, cloud: FakeCloud, run: str = "first", accounts: Path | None = None
) -> Standing:
    folder = tmp_path / "runs" / run
    folder.mkdir(parents=True, exist_ok=True)
    asked = AskedCloud(name="theirs", prefix="mine", accounts=accounts)
    return Standing(cloud, ENTRY, asked, load("embedded"), folder, RUN_ID)


def begun(tmp_path: Path, cloud: FakeCloud, run: str = "first") -> Standing:
    made = standing_in(tmp_path, cloud, run)
    made.install(drop)
    made.start(drop)
    return made


def killed(deployment: Standing) -> None:
    """Release the lock as the system does when a process is killed."""
    assert deployment._lock is not None
    os.close(deployment._lock)
    deployment._lock = None


class TestStanding(DeploymentContract):
    @pytest.fixture
    def deployment(self, tmp_path: Path, cloud: FakeCloud) -> Deployment:
        return standing_in(tmp_path, cloud)


def test_its_versions_are_unknown(tmp_path: Path, cloud: FakeCloud) -> None:
    assert standing_in(tmp_path, cloud).install(drop).versions == {}


def test_resources_for_tests_have_the_prefix_and_are_recorded(
    tmp_path: Path, cloud: FakeCloud
) -> None:
    given = begun(tmp_path, cloud).for_runner()
    made = [each["id"] for kind in ("flavor", "image") for each in cloud.of(kind)]
    names = [each["name"] for kind in ("flavor", "image") for each in cloud.of(kind)]
    assert len(made) == 4
    assert all(name.startswith("mine-r0123-") for name in names)
    assert [given.options[each] for each in (*standing.FLAVORS, *standing.IMAGES)] == made
    assert given.options["DEFAULT.resource_name_prefix"] == "mine-r0123"
    assert given.requests is not None
    assert [each.made for each in request_log.read(given.requests)] == [(each,) for each in made]
    assert "--create" not in given.tempestconf


def test_flavors_and_images_in_the_profile_are_not_made(tmp_path: Path, cloud: FakeCloud) -> None:
    made = standing_in(tmp_path, cloud)
    feature = made.profile.features["compute.build_timeout"]
    named = dict.fromkeys((*standing.FLAVORS, *standing.IMAGES), feature)
    made.profile = made.profile.model_copy(update={"features": named})
    made.install(drop)
    made.start(drop)
    assert (cloud.of("flavor"), cloud.of("image")) == ([], [])
    assert not set(named) & set(made.for_runner().options)


def test_a_user_without_the_role_admin_uses_accounts_and_makes_no_flavors(
    tmp_path: Path, cloud: FakeCloud
) -> None:
    cloud.roles = frozenset({"member"})
    cloud.statuses["baremetal", "/chassis"] = 500
    cloud.statuses["baremetal", "/drivers"] = 500
    file = tmp_path / "accounts.yaml"
    file.write_text("- {username: u, password: p}")
    made = standing_in(tmp_path, cloud, accounts=file)
    made.install(drop)
    assert made.start(drop).accounts == [{"username": "u", "password": "p"}]
    assert list(made.for_runner().tempestconf) == ["--non-admin"]
    assert cloud.of("flavor") == []


def test_a_clean_end_removes_only_the_resources_of_the_run(
    tmp_path: Path, cloud: FakeCloud
) -> None:
    made = begun(tmp_path, cloud)
    recorded = cloud.add("network", name="tempest-net")
    RequestLog(made.folder / REQUESTS).made("/v2.0/networks", recorded)
    assert list(made.close()) == []
    assert [each["id"] for each in cloud.of("network")] == ["theirs"]
    assert (cloud.of("flavor"), cloud.of("image"), cloud.closed) == ([], [], True)
    mark = Mark.read(made.folder)
    assert mark is not None
    assert mark.clean
    assert json.loads((made.folder / audit.AUDIT).read_text()) == {"differences": [], "left": []}


def test_key_pairs_are_listed_for_users_only(tmp_path: Path, cloud: FakeCloud) -> None:
    """A request for each of the hundreds of recorded ids would take many seconds."""
    made = begun(tmp_path, cloud)
    log, user, network = RequestLog(made.folder / REQUESTS), "1" * 32, "2" * 32
    log.made("/v3/users", user)
    log.made("/v2.0/networks", network)
    cloud.add("key pair", name="key", user_id=user)
    made.close()
    assert cloud.of("key pair") == []
    assert not [path for _, _, path in cloud.asked if network in path]


@pytest.mark.parametrize(
    ("named", "code"), [(True, Code.FOREIGN_ALTERED), (False, Code.FOREIGN_CHANGED)]
)
def test_a_resource_that_disappeared_is_a_failure_if_the_run_named_it(
    tmp_path: Path, cloud: FakeCloud, named: bool, code: Code
) -> None:
    made = begun(tmp_path, cloud)
    if named:
        url = "http://127.0.0.1/v2.0/networks/theirs"
        RequestLog(made.folder / REQUESTS).begin("DELETE", url, None)
    cloud.of("network").clear()
    (found,) = made.close()
    assert found.code is code
    assert "network theirs" in found.text


def test_a_resource_that_cannot_be_removed_is_a_finding_and_left_to_the_next_run(
    tmp_path: Path, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = begun(tmp_path, cloud)
    cloud.refused.update(each["id"] for each in cloud.of("flavor"))
    monkeypatch.setattr(sweep.sweep, "__kwdefaults__", {"seconds": -1, "pause": drop})
    (found,) = made.close()
    assert found.code is Code.LEFT_BEHIND
    with pytest.raises(InfrastructureError, match=r"left 2 resources .*flavor mine-r0123-nano"):
        (second := standing_in(tmp_path, cloud, "second")).start(drop)
    assert list(second.close()) == []
    cloud.refused.clear()
    begun(tmp_path, cloud, "third").close()
    assert cloud.of("flavor") == []


def test_the_next_run_removes_the_resources_of_a_killed_run(
    tmp_path: Path, cloud: FakeCloud
) -> None:
    first = begun(tmp_path, cloud)
    literal = cloud.add("network", name="literal")
    RequestLog(first.folder / REQUESTS).made("/v2.0/networks", literal)
    killed(first)
    said: list[str] = []
    second = standing_in(tmp_path, cloud, "second")
    second.install(said.append)
    second.start(drop)
    assert said == ["removed the resources that the run first had left"]
    assert [each["id"] for each in cloud.of("network")] == ["theirs"]
    assert len(cloud.of("flavor")) == 2  # the resources of the second run
    assert list(second.close()) == []


def test_a_resumed_run_is_compared_with_the_first_inventory(
    tmp_path: Path, cloud: FakeCloud
) -> None:
    killed(begun(tmp_path, cloud))
    cloud.of("network").clear()
    (found,) = begun(tmp_path, cloud).close()
    assert found.code is Code.FOREIGN_CHANGED


def test_two_runs_cannot_use_one_prefix_at_the_same_time(tmp_path: Path, cloud: FakeCloud) -> None:
    first = begun(tmp_path, cloud)
    with pytest.raises(UsageError, match="another run uses the prefix 'mine'"):
        begun(tmp_path, cloud, "second")
    first.close()
    begun(tmp_path, cloud, "third").close()


@pytest.mark.parametrize(
    ("error", "late", "lost"),
    [
        (RefusedError("refused"), False, True),
        (InfrastructureError("away"), False, False),
        (InfrastructureError("away"), True, True),
    ],
    ids=str,
)
def test_a_cloud_that_refuses_or_does_not_answer_is_lost(
    tmp_path: Path, cloud: FakeCloud, error: InfrastructureError, late: bool, lost: bool
) -> None:
    made = begun(tmp_path, cloud)
    cloud.failing = error
    if late:
        made._answered -= 2 * standing.ANSWER_TIMEOUT
    assert [each.code for each in made.health()] == [Code.CLOUD_LOST] * lost


def test_a_slow_cloud_has_more_time_to_answer(tmp_path: Path, cloud: FakeCloud) -> None:
    made = begun(tmp_path, cloud)
    made.profile = made.profile.with_factor(3)
    cloud.failing = InfrastructureError("away")
    made._answered -= 2 * standing.ANSWER_TIMEOUT
    assert list(made.health()) == []
    made._answered -= 2 * standing.ANSWER_TIMEOUT
    assert [each.code for each in made.health()] == [Code.CLOUD_LOST]


def test_credentials_refused_since_the_last_check_are_a_problem(
    tmp_path: Path, cloud: FakeCloud
) -> None:
    made = begun(tmp_path, cloud)
    assert list(made.health()) == []
    cloud.failing = RefusedError("refused")
    assert [each.code for each in made.health()] == [Code.CLOUD_LOST]


def test_a_close_without_credentials_is_an_error(tmp_path: Path, cloud: FakeCloud) -> None:
    made = begun(tmp_path, cloud)
    cloud.failing = RefusedError("refused")
    with pytest.raises(RefusedError):
        made.close()
    mark = Mark.read(made.folder)
    assert mark is not None
    assert not mark.clean
    killed(made)
    cloud.failing = None
    begun(tmp_path, cloud, "second").close()
    assert cloud.of("flavor") == []


def test_an_interrupted_close_is_repeated(
    tmp_path: Path, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = begun(tmp_path, cloud)
    cloud.of("network").clear()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FakeCloud, "call", interrupt)
        with pytest.raises(KeyboardInterrupt):
            made.close()
    assert [each.code for each in made.close()] == [Code.FOREIGN_CHANGED]
    assert list(made.close()) == []


def broken(cloud: FakeCloud, what: str) -> None:
    match what:
        case "admin":
            cloud.roles = frozenset({"member"})
        case "catalogue":
            cloud.services.discard("baremetal")
        case "answer":
            cloud.statuses["network", "/networks"] = 503
        case "quota":
            cloud.quotas["compute"] = {"instances": 1, "cores": -1}
        case "system":
            cloud.statuses["baremetal", "/drivers"] = 500
        case "driver":
            cloud.drivers = {"drivers": [{"name": "ipmi"}]}
        case _:
            cloud.failing = InfrastructureError("Keystone does not answer", "start it")


@pytest.mark.parametrize(
    ("what", "text", "code"),
    [
        ("admin", "is not an admin: it has the roles member", 2),
        ("catalogue", "has no baremetal, which the profile embedded contains", 2),
        ("answer", "network of the cloud 'theirs' answers with status 503", 3),
        ("quota", "instances of compute is 1, but 4 are needed", 3),
        ("system", "does not list its drivers for the user: status 500", 2),
        ("driver", "has no driver 'fake-hardware', which the profile embedded requires", 2),
        ("keystone", "Keystone does not answer", 3),
    ],
)
def test_a_cloud_that_cannot_be_used_is_refused_before_resources_are_made(
    tmp_path: Path, cloud: FakeCloud, what: str, text: str, code: int
) -> None:
    broken(cloud, what)
    made = standing_in(tmp_path, cloud)
    with pytest.raises(BsdgateError, match=text) as caught:
        made.install(drop)
    assert (caught.value.exit_code, bool(caught.value.hint)) == (code, True)
    assert {method for method, *_ in cloud.asked} <= {"GET"}


def test_a_cloud_that_refuses_an_image_is_an_error(tmp_path: Path, cloud: FakeCloud) -> None:
    cloud.statuses["image", "/images"] = 403
    made = standing_in(tmp_path, cloud)
    with pytest.raises(InfrastructureError, match="refuses the request POST /images: status 403"):
        made.start(drop)
    assert list(made.close()) == []
    assert cloud.of("flavor") == []
