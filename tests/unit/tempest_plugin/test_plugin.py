# SPDX-License-Identifier: Apache-2.0
"""The interface of the plugin to Tempest."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import uuid
from collections import Counter
from collections.abc import Iterator
from importlib import import_module, util
from pathlib import Path

import pytest
import tempest.config
from oslo_config import cfg

from bsdgate.tempest_plugin import config, plugin

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tempest_plugin"
MODULES = sorted((FOLDER / "tests").rglob("test_*.py"))
UPSTREAM = ("tempest", "ironic_tempest_plugin", "neutron_tempest_plugin")
IDEMPOTENT_ID = re.compile(r"idempotent_id\(\s*['\"]([^'\"]+)['\"]")


def python(code: str) -> list[str]:
    """Run code in a new Python process; return the JSON list that it prints."""
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    printed: list[str] = json.loads(ended.stdout)
    return printed


def methods() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield every test and its name, with the name of its file."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{path.stem}.{node.name}", node


def own_ids() -> dict[str, list[str]]:
    return {name: IDEMPOTENT_ID.findall(ast.unparse(node)) for name, node in methods()}


def test_entry_point_names_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, name = project["entry-points"]["tempest.test_plugins"]["bsdgate"].split(":")
    assert getattr(import_module(module), name) is plugin.BsdgateTempestPlugin


def test_importing_the_plugin_imports_no_service_and_no_other_module_of_bsdgate() -> None:
    loaded = python(
        "import bsdgate.tempest_plugin.plugin, json, sys; print(json.dumps(sorted(sys.modules)))"
    )
    ours = {name for name in loaded if name.startswith("bsdgate.")}
    assert ours == {
        "bsdgate.tempest_plugin",
        *(f"bsdgate.tempest_plugin.{name}" for name in ("config", "plugin")),
    }
    services = {"glance", "ironic", "keystone", "neutron", "nova", "openstack", "placement"}
    assert services & {name.partition(".")[0] for name in loaded} == set()


def test_tests_are_discovered_under_their_full_names() -> None:
    found = python(
        "import json, unittest\n"
        "from bsdgate.tempest_plugin.plugin import BsdgateTempestPlugin\n"
        "def flat(suite):\n"
        "    for each in suite:\n"
        "        yield from flat(each) if isinstance(each, unittest.TestSuite) else [each.id()]\n"
        "folder, top = BsdgateTempestPlugin().load_tests()\n"
        "suite = unittest.TestLoader().discover(folder, top_level_dir=top)\n"
        "print(json.dumps(sorted(flat(suite))))"
    )
    assert {name.rpartition(".")[2].partition("[")[0] for name in found} == {
        name.partition(".")[2] for name, _ in methods()
    }
    pattern = re.compile(r"bsdgate\.tempest_plugin\.tests\.\w+\.test_\w+\.\w+Test\.test_\w+\[id-")
    assert [name for name in found if not pattern.match(name)] == []


@pytest.mark.parametrize("area", ["identity", "baremetal", "compute", "network", "scenario"])
def test_every_area_has_a_test(area: str) -> None:
    assert [path for path in MODULES if path.parent.name == area]


def test_every_test_has_one_id_and_a_docstring() -> None:
    ids = own_ids()
    assert ids
    assert {name: found for name, found in ids.items() if len(found) != 1} == {}
    assert [name for name, node in methods() if not ast.get_docstring(node)] == []


def test_ids_are_unique_among_all_plugins() -> None:
    ours = [each for found in own_ids().values() for each in found]
    assert [each for each in ours if str(uuid.UUID(each)) != each] == []
    assert [each for each, count in Counter(ours).items() if count > 1] == []
    theirs: set[str] = set()
    for package in UPSTREAM:
        spec = util.find_spec(package)
        assert spec is not None, f"{package} is not installed"
        assert spec.submodule_search_locations is not None
        for path in Path(spec.submodule_search_locations[0]).rglob("test_*.py"):
            theirs.update(IDEMPOTENT_ID.findall(path.read_text(encoding="utf-8")))
    assert len(theirs) > 1000
    assert theirs & set(ours) == set()


def test_registered_options_are_the_listed_ones() -> None:
    conf = cfg.ConfigOpts()
    conf([])
    plugin.BsdgateTempestPlugin().register_opts(conf)
    ((group, options),) = plugin.BsdgateTempestPlugin().get_opt_lists()
    assert group == "bsdgate"
    assert set(conf.bsdgate) == {option.dest for option in options}
    assert [option.dest for option in options if not option.help] == []


def test_options_are_the_ones_that_the_tests_read() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.py"))
    read = set(re.findall(r"CONF\.bsdgate\.(\w+)", code))
    assert read == {option.dest for option in config.OPTIONS}


def test_clients_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    common = {"region": "One"}
    monkeypatch.setattr(tempest.config, "service_client_config", lambda: common)
    clients = plugin.BsdgateTempestPlugin().get_service_clients()
    assert [each["name"] for each in clients] == ["bsdgate_baremetal", "bsdgate_endpoints"]
    for each in clients:
        module = import_module(each["module_path"])
        assert each.items() >= common.items()
        for name in each["client_names"]:
            assert issubclass(getattr(module, name), module.rest_client.RestClient)
