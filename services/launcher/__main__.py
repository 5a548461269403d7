"""``python -m services.launcher [--procfile FILE]``: run the procfile until told to stop."""

import argparse
import sys
from pathlib import Path

from services.launcher.service import Launcher
from shared.bus.runner import start_service
from shared.paths import Paths, check_socket_length, make_private

PROCFILES = (Path(__file__).parents[2] / "procfile", Path(__file__).parent / "procfile")
"""In a checkout at the top; in an installed package beside this module."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="banger-launcher", allow_abbrev=False)
    shipped = next(path for path in PROCFILES if path.exists())
    parser.add_argument("--procfile", type=Path, default=shipped)
    procfile: Path = parser.parse_args().procfile
    paths = Paths.from_environment()

    def prepare() -> None:
        make_private(paths.run)
        check_socket_length(paths.run)

    return start_service(
        "launcher", paths, lambda log, _: Launcher(paths, log, procfile), prepare=prepare
    )


if __name__ == "__main__":
    sys.exit(main())
