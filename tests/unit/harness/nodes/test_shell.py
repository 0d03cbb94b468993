# SPDX-License-Identifier: Apache-2.0
"""Words for login shells, with all shells of this machine."""

import shutil
import subprocess

import pytest

from bsdgate.harness.nodes import shell

SHELLS = ("sh", "bash", "dash", "ksh", "zsh", "csh", "tcsh", "fish")
WORDS = (
    "plain/path-1.0_x",
    "",
    "two words",
    " ",
    "'single' \"double\" `id` $(id) $HOME ${x}",
    "!!",
    "a!b!",
    "~ * ? [a-z] {a,b}",
    "a;b|c&d<e>f#g%h^i=j:k@l,m+n\\o",
    "%1",
    "-n",
    "Zürich ✓",
)


@pytest.mark.parametrize("name", SHELLS)
def test_each_word_arrives_unchanged(name: str) -> None:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"there is no {name} here")
    line = shell.command(["printf", "<%s>\\n", *WORDS])
    done = subprocess.run([program, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == "".join(f"<{word}>\n" for word in WORDS)


@pytest.mark.parametrize("name", SHELLS)
def test_a_script_runs_in_a_posix_shell(name: str) -> None:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"there is no {name} here")
    line = shell.script('x="$1"\nfor each in a b; do echo "$each $x"; done\nexit 5', "it's !")
    done = subprocess.run([program, "-c", line], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("a it's !\nb it's !\n", 5)


@pytest.mark.parametrize("word", ["a\nb", "a\x00b", "\x1b[0m", "\x7f"])
def test_control_characters_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match="cannot be quoted"):
        shell.quote(word)
