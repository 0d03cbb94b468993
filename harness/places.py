# SPDX-License-Identifier: Apache-2.0
"""Where bsdgate keeps what outlives a command, by the XDG base directories."""

import os
from pathlib import Path


def state() -> Path:
    """Return the folder of clouds and runs: ``BSDGATE_STATE_DIR``, or under ``XDG_STATE_HOME``."""
    return _place("BSDGATE_STATE_DIR", "XDG_STATE_HOME", ".local/state")


def cache() -> Path:
    """Return the folder of what can be made again: ``BSDGATE_CACHE_DIR``, or ``XDG_CACHE_HOME``."""
    return _place("BSDGATE_CACHE_DIR", "XDG_CACHE_HOME", ".cache")


def _place(ours: str, xdg: str, default: str) -> Path:
    if os.environ.get(ours):
        return Path(os.environ[ours]).absolute()
    return Path(os.environ.get(xdg) or Path.home() / default).absolute() / "bsdgate"
