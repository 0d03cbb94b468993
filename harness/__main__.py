# SPDX-License-Identifier: Apache-2.0
"""The entry point of ``bsdgate``, and of ``python -m bsdgate.harness``."""

import sys
import traceback


def main() -> int:
    """Run the command line and return its exit code.

    If the import fails, Python would exit with 1, which means that tests failed.
    """
    try:
        from bsdgate.harness import cli  # noqa: PLC0415
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        print("bsdgate: the installation is broken; internal error", file=sys.stderr)  # noqa: T201
        return 3
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
