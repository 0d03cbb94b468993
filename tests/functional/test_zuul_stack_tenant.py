# SPDX-License-Identifier: Apache-2.0
"""The example tenant of the documentation, validated by a real Zuul."""

import configparser
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from functional.server_process import START
from functional.zuul_stack.layout import FREEBSD_TENANT
from functional.zuul_stack.seed import BSDGATE, EXAMPLE
from functional.zuul_stack.stack import Stack

# The first test may make the state of the stack, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(600)

CLOUD = {
    "region_name": "RegionOne",
    "auth": {
        "auth_url": "https://cloud.example.org/v3",
        "username": "zuul",
        "password": "canary-of-the-cloud",
        "project_name": "zuul",
        "user_domain_id": "default",
        "project_domain_id": "default",
    },
}
"""The cloud of the nodes: Zuul reads its settings, and does not connect."""


def validate(zuul: Stack, folder: Path, tenants: str) -> subprocess.CompletedProcess[str]:
    """Validate a file of tenants with the stack's ZooKeeper, executor and Gerrit."""
    settings = configparser.RawConfigParser()
    settings.read(zuul.layout.settings / "zuul.conf")
    own = {"tenant_config": "tenants.yaml", "state_dir": "state", "command_socket": "socket"}
    settings["scheduler"].update({name: str(folder / file) for name, file in own.items()})
    with (folder / "zuul.conf").open("w") as file:
        settings.write(file)
    (folder / "tenants.yaml").write_text(tenants)
    (folder / "state").mkdir()
    clouds = folder / ".config" / "openstack" / "clouds.yaml"
    clouds.parent.mkdir(parents=True)
    clouds.write_text(yaml.safe_dump({"clouds": {"example": CLOUD}}))
    scheduler = zuul.layout.program("zuul-scheduler")
    return subprocess.run(
        [scheduler, "-f", "-c", folder / "zuul.conf", "--validate-tenants", FREEBSD_TENANT],
        env={**os.environ, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=START,
    )


def test_the_example_tenant_is_valid(zuul: Stack, tmp_path: Path) -> None:
    done = validate(zuul, tmp_path, (EXAMPLE.parent / "main.yaml").read_text())
    assert done.returncode == 0, done


def test_a_tenant_without_bsdgate_lacks_its_templates(zuul: Stack, tmp_path: Path) -> None:
    text = (EXAMPLE.parent / "main.yaml").read_text()
    line = f"          - {BSDGATE}\n"
    assert text.count(line) == 1
    done = validate(zuul, tmp_path, text.replace(line, ""))
    assert done.returncode == 1, done
    assert "bsdgate-keystone" in done.stdout + done.stderr
