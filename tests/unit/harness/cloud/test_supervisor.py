# SPDX-License-Identifier: Apache-2.0
"""Tasks of the supervisor in child processes, with a starter that ends meanwhile."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

SCRIPT = """
import os, sys, time
from pathlib import Path
from bsdgate.harness.cloud.lifetime import SupervisorEnd
from bsdgate.harness.cloud.spec import CloudSpec
from bsdgate.harness.cloud.supervisor import Supervisor
from bsdgate.harness.cloud.templates import TemplateStore
from bsdgate.harness.cloud.unit import ServiceFailed

here = Path(sys.argv[1])
spec = CloudSpec.generate("one", here, {"keystone": 1}, {})
supervisor = Supervisor(spec, TemplateStore(here), SupervisorEnd(int(sys.argv[2])), print)

supervisor._task("good", lambda: (here / "done").touch())
assert (here / "done").exists()

def bad():
    raise ValueError("because")

try:
    supervisor._task("bad", bad)
except ServiceFailed as failure:
    assert "because" in "".join(failure.event["lines"])
else:
    raise AssertionError("it failed")

def forever():
    os.write(report, f"{os.getpid()}\\n".encode())
    time.sleep(600)

report = int(sys.argv[3])
supervisor._task("forever", forever)
raise AssertionError("the starter is gone")
"""


def test_a_task_and_the_supervisor_end_with_the_starter(tmp_path: Path) -> None:
    starter, ours = os.pipe()
    output, report = os.pipe()
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(starter), str(report)]
    with subprocess.Popen(
        command, pass_fds=[starter, report], stderr=subprocess.PIPE
    ) as supervisor:
        os.close(starter)
        os.close(report)
        with os.fdopen(output) as lines:
            task = psutil.Process(int(lines.readline()))
        os.close(ours)
        assert supervisor.wait(20) == 0, supervisor.stderr and supervisor.stderr.read()
    assert not task.is_running()
