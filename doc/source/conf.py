# SPDX-License-Identifier: Apache-2.0
"""How Sphinx builds this documentation; ``tox -e docs`` runs it."""

import tomllib
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = _PROJECT["name"]
copyright = "the bsdgate contributors"
version = release = _PROJECT["version"]

extensions = ["openstackdocstheme"]
nitpicky = True

html_theme = "openstackdocs"
openstackdocs_repo_name = ""
openstackdocs_auto_name = False
openstackdocs_auto_version = False
