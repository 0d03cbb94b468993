# SPDX-License-Identifier: Apache-2.0
"""Where ``bsdgate`` begins; ``python -m bsdgate.harness`` is the same."""

import sys
import traceback


def main() -> int:
    """Run the command line and return its exit code.

    Where it cannot even be imported Python would end with 1, which says that tests failed.
    """
    try:
        from bsdgate.harness import cli  # noqa: PLC0415
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        print("bsdgate: its installation is broken: this proves nothing", file=sys.stderr)  # noqa: T201
        return 3
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
