# SPDX-License-Identifier: Apache-2.0
"""The option that shows the version of bsdgate."""

from typing import Final

import click


def _show(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        # The module runs git, and takes long to import.
        from bsdgate.harness import identity  # noqa: PLC0415

        click.echo(f"bsdgate {identity.version()}")
        context.exit()


OPTION: Final = click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show,
    help="Show the version with its commit, and exit.",
)
