# SPDX-License-Identifier: Apache-2.0
"""The main job, on a cloud that is reset RESETS times before it is tested: ``RESETS``.

A separate program, because it ends like the main job and leaves no process or file.
"""

import sys
import time
from typing import Any

import psutil

from bsdgate.harness import pipeline, steps
from bsdgate.harness.cloud.client import Cloud


class Resetting:
    """The step ``deploy``, followed by resets."""

    def __init__(self, resets: int) -> None:
        self.resets = resets

    def deploy(self, run: steps.Run) -> None:
        """Start the cloud and reset it; print the durations of the resets and the memory."""
        steps.deploy(run)
        cloud = Cloud(run.folder.cloud)
        seconds, memory = [], []
        for _ in range(self.resets):
            began = time.monotonic()
            cloud.reset()
            seconds.append(time.monotonic() - began)
            memory.append(resident(cloud))
            assert cloud.status()["state"] == "ready"
        median = sorted(seconds)[self.resets // 2]
        print(f"{self.resets} resets: median {median:.2f} s, most {max(seconds):.2f} s")
        print(f"resident memory after the first {memory[0]} MiB, after the last {memory[-1]} MiB")


def resident(cloud: Cloud) -> int:
    """Return the resident memory of all processes of the cloud, in MiB."""
    supervisor = psutil.Process(cloud.status()["pid"])
    tree = [supervisor, *supervisor.children(recursive=True)]
    return int(sum(each.memory_info().rss for each in tree) // 2**20)


class Silent:
    """A listener that ignores all calls."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


if __name__ == "__main__":
    resetting = Resetting(int(sys.argv[1]))
    provision, _, *others = pipeline.STEPS
    pipeline.STEPS = (provision, resetting.deploy, *others)  # type: ignore[misc]
    listener = Silent()
    run = pipeline.begin(pipeline.Options(), listener)
    failure = pipeline.execute(run)
    verdict = pipeline.judge(run.folder.path, run.history, listener)
    print(verdict.result, failure or "")
    sys.exit(verdict.result.exit_code)
