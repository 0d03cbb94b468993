# SPDX-License-Identifier: Apache-2.0
"""The program that checks the Zuul files: planted errors, each with its file and line."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = Path(sys.prefix).parent / "zuul" / "bin" / "python"
PROGRAM = ("-m", "bsdgate.harness.zuul.lint")
ENVIRONMENT = {"PYTHONPATH": str(ROOT / "src")}
CHECKED = ("zuul.d", "playbooks", "roles", "doc/zuul-tenant", "doc/source/reference")
BASE = "zuul.d/base.yaml"
GENERATED = "zuul.d/generated.yaml"
PIPELINES = "doc/zuul-tenant/zuul.d/pipelines.yaml"
PROJECTS = "doc/zuul-tenant/zuul.d/projects.yaml"
NODES = "doc/zuul-tenant/zuul.d/nodes.yaml"
RUN = "playbooks/bsdgate/run.yaml"

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not PYTHON.exists(), reason="Zuul is missing: run the tests through tox"),
]


@dataclass(frozen=True)
class Planted:
    """An error: ``old`` becomes ``new``. ``message`` is a part of the problem.

    The problem is at the line of ``at``, by default at the first line of the stanza: Zuul knows no
    other line.
    """

    file: str
    old: str
    new: str
    message: str
    at: str = ""

    def plant(self, root: Path) -> str:
        """Change the file in a checkout; return its path and the line of the problem."""
        path = root / self.file
        text = path.read_text()
        assert self.old in text, self.old
        text = text.replace(self.old, self.new, 1)
        path.write_text(text)
        place = (
            text.index(self.at) if self.at else text.rindex("\n- ", 0, text.index(self.new) + 2) + 1
        )
        return f"{path}:{text[:place].count(chr(10)) + 1}: "


ADDED = "\n- job:\n    name: added\n"
PLANTED = (
    Planted(BASE, "    parent: null\n", "    parent: absent\n", "absent"),
    Planted(BASE, "    timeout: 7200", "    timeout: soon", "timeout"),
    Planted(BASE, "    timeout: 7200", "    timeout: 99999999", "timeout"),
    Planted(BASE, "    attempts: 2", "    attempt: 2", "attempt"),
    Planted(BASE, "- semaphore:\n", "- semafour:\n", "semafour"),
    Planted(BASE, "    max: 1", "    max: many", "max"),
    Planted(
        BASE,
        "- nodeset:\n    name: bsdgate-nested",
        "- nodeset:\n    named: x",
        "named",
    ),
    Planted(
        BASE,
        "label: bsdgate-nested",
        "label: bsdgate-nestd",
        "unknown label bsdgate-nestd",
        "label: bsdgate-nestd",
    ),
    Planted(
        BASE, "bsdgate/pre.yaml", "bsdgate/prepare.yaml", "missing playbook", "bsdgate/prepare.yaml"
    ),
    Planted(
        BASE,
        "run: playbooks/bsdgate/run.yaml",
        "run: playbooks/run.yaml",
        "missing playbook",
        "run: playbooks/run.yaml",
    ),
    Planted(
        BASE,
        "playbooks/logs/post.yaml",
        "playbooks/log/post.yaml",
        "missing playbook",
        "playbooks/log/post.yaml",
    ),
    Planted(
        BASE,
        "semaphores: bsdgate-standing-cloud",
        "semaphores: cloud",
        "unknown semaphore",
        "semaphores: cloud",
    ),
    Planted(BASE, "nodeset: bsdgate-nested", "nodeset: nested", "nested"),
    Planted(
        BASE,
        "    irrelevant-files:",
        '    files:\n      - "["\n    irrelevant-files:',
        "unterminated",
    ),
    Planted(BASE, 'failure-output: "^FAIL: "', 'failure-output: "("', "("),
    Planted(BASE, "    vars:\n", "\tvars:\n", "not YAML", "\tvars:"),
    Planted(
        BASE,
        "- job:\n    name: bsdgate-base",
        "- job:\n    name: [a]",
        "name",
        "- job:\n    name: [a]",
    ),
    Planted(BASE, "    final: true", "    finale: true", "finale"),
    Planted(
        BASE,
        "\n- semaphore:",
        f"{ADDED}\n- semaphore:",
        "the job added is not documented",
        "name: added",
    ),
    Planted(BASE, "    protected: true", "    roles:\n      - zuul: a/b", "a/b", "zuul: a/b"),
    Planted(GENERATED, "    parent: bsdgate-freebsd", "    parent: bsdgate-frebsd", "frebsd"),
    Planted(
        GENERATED,
        "- nodeset:\n    name: ",
        "- nodeset:\n    name: x\n    nme: ",
        "nme",
        "- nodeset:\n    name: x",
    ),
    Planted(
        GENERATED,
        "    periodic-nightly:",
        "    periodic-nightli:",
        "unknown pipeline",
        "periodic-nightli",
    ),
    Planted(
        PROJECTS, "    templates:\n      - bsdgate-nova", "    templates:\n      - nova", "nova"
    ),
    Planted(PROJECTS, "    check:\n", "    checks:\n", "unknown pipeline checks", "checks:"),
    Planted(PROJECTS, "        - bsdgate-standing", "        - bsdgate-standin", "standin"),
    Planted(PROJECTS, "name: openstack/nova", "name: openstack/nva", "nva"),
    Planted(PIPELINES, "manager: independent", "manager: alone", "manager"),
    Planted(
        PIPELINES, "    success: &mqtt\n      mqtt:", "    success: &mqtt\n      smtps:", "smtps"
    ),
    Planted(PIPELINES, "        - event: change-merged", "        - evnt: change-merged", "evnt"),
    Planted(NODES, "    connection: static", "    connection: statik", "statik", "- provider:"),
    Planted(NODES, "    image: bsdgate-controller", "    imge: bsdgate-controller", "imge"),
    Planted(
        RUN, "    - run-bsdgate", "    - run-bsdgat", "unknown role run-bsdgat", "    - run-bsdgat"
    ),
    Planted(RUN, "  hosts: controller", "  hosts: [controller", "not YAML", "  gather_facts"),
)


def checked(*checkouts: Path) -> subprocess.CompletedProcess[str]:
    """Run the program on checkouts."""
    command: list[str | Path] = [PYTHON, *PROGRAM, *checkouts]
    return subprocess.run(
        command, env=ENVIRONMENT, cwd=ROOT.parent, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[Planted, tuple[str, list[str]]]:
    """Return where each problem must be, and the lines about the checkout with this error.

    One process checks all checkouts: it imports Zuul once.
    """
    root = tmp_path_factory.mktemp("checkouts")
    places = {}
    for number, planted in enumerate(PLANTED):
        checkout = root / f"{number:02}"
        for name in CHECKED:
            shutil.copytree(ROOT / name, checkout / name)
        places[planted] = planted.plant(checkout)
    checkouts = sorted(root.iterdir())
    done = checked(*checkouts)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    return {
        planted: (places[planted], [line for line in lines if line.startswith(f"{checkout}/")])
        for planted, checkout in zip(PLANTED, checkouts, strict=True)
    }


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.new.strip()[:30])
def test_a_planted_error_is_found_at_its_line(
    found: dict[Planted, tuple[str, list[str]]], planted: Planted
) -> None:
    place, lines = found[planted]
    assert any(line.startswith(place) and planted.message in line for line in lines), lines


def test_the_files_of_the_project_have_no_problem() -> None:
    done = checked(ROOT)
    assert (done.returncode, done.stdout) == (0, ""), done
