# SPDX-License-Identifier: Apache-2.0
"""The step ``inspect``: the node after the tests, which the judge compares with the node before."""

from typing import Final

from bsdgate.harness import files
from bsdgate.harness.nodes import kernel
from bsdgate.harness.steps import NODE, Run

KERNEL_LOG: Final = "kernel.log"
"""The log, in the directory of the logs, of the messages of the node's kernel during the run."""


def inspect(run: Run) -> None:
    """Record the failures in the messages of the node's kernel, and inspect the node.

    :raises InfrastructureError: the node is lost, or cannot be inspected.
    """
    record_failures(run)
    run.folder.write_inspection("end", run.node.inspect(run.folder.manifest.run_id))


def record_failures(run: Run) -> None:
    """Write the failures in the new messages of the node's kernel to the journal for the judge."""
    messages = run.node.kernel_messages()
    if messages.buffer:
        files.append(run.logs / KERNEL_LOG, "\n".join([*messages.buffer, ""]).encode())
    for found in kernel.findings(messages, run.node.name):
        run.folder.record(NODE, "fail", code=found.code, message=found.text)
        run.listener.report(found.text)


def inspect_again(run: Run, *, lost: bool) -> None:
    """Inspect the node after an error; connect again to a node that is ``lost``.

    So the judge finds out that a lost node was rebooted.

    :raises BsdgateError: the node does not answer.
    """
    if not run.deployed:
        return
    if not lost:
        inspect(run)
        return
    # The console of a guest can be read without a connection.
    record_failures(run)
    run.listener.report(f"connecting to the lost node {run.node.name} again, to inspect it")
    with run.node.reconnected():
        inspect(run)
