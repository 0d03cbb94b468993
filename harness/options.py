# SPDX-License-Identifier: Apache-2.0
"""The options of the command line that several commands have."""

from pathlib import Path

import click

from bsdgate.harness.cloud.spec import DEFAULT_NAME
from bsdgate.harness.parameters import FactorParameter, NameParameter
from bsdgate.results.policy import POLICIES

NAME = click.option("--name", type=NameParameter(), default=DEFAULT_NAME, help="Name of the cloud.")

OPTIONAL_NAME = click.option(
    "--name", type=NameParameter(), help="Name of the cloud.", show_default=DEFAULT_NAME
)

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
FOLDER_OR_FILE = click.Path(path_type=Path, exists=True)
RUN_DIR = click.Path(path_type=Path, exists=True, file_okay=False)

PROFILE = click.option(
    "--profile", default="embedded", help="Cluster profile: a name, or a YAML file."
)

FACTOR = click.option(
    "--timeout-factor",
    type=FactorParameter(),
    envvar="BSDGATE_TIMEOUT_FACTOR",
    help="Multiply all time limits by this factor, for a slow machine.",
    show_default="the profile's",
)

HISTORY = click.option(
    "--history-url",
    "history",
    envvar="BSDGATE_HISTORY_URL",
    metavar="URL",
    help="The database of earlier runs, such as postgresql://USER@HOST/DATABASE.",
    show_default="a file in the state directory",
)

POLICY = click.option(
    "--policy",
    type=click.Choice(list(POLICIES)),
    default="developer",
    help="How strictly to judge.",
)

POLICY_OF = click.option(
    "--policy",
    type=click.Choice(list(POLICIES)),
    help="How strictly to judge.",
    show_default="the policy of the run; for other evidence: developer",
)

EXPECTATIONS = click.option(
    "--expectations",
    multiple=True,
    metavar="PATH",
    type=FOLDER_OR_FILE,
    help="Additional known failures: a YAML file or directory; repeatable.",
)

WITH = click.option(
    "--with",
    "changes",
    multiple=True,
    metavar="PROJECT=SOURCE",
    help="Use a checkout (PATH), git+URL@REF or VERSION of a project; repeatable.",
)

ON = click.option(
    "--on",
    metavar="ssh://USER@HOST[:PORT]|qemu[:IMAGE]|zuul:NODE",
    help="Use another machine as the node, or boot a guest in QEMU from IMAGE: a version of"
    " FreeBSD, a file, a URL or @GUEST/SNAPSHOT. zuul:NODE is a node of a Zuul build, in the"
    " inventory BSDGATE_ZUUL_INVENTORY. A node without bsdgate gets it.",
    show_default="this machine",
)

SUITE_OF = click.option("--suite", help="Only runs of this suite.")
PROFILE_OF = click.option("--profile", help="Only runs of this profile.")
