"""``python -m services.launcher [--procfile FILE]``: run the procfile until a signal comes."""

import argparse
import sys
from pathlib import Path

from services.launcher.service import Launcher
from shared.bus.runner import start_service
from shared.config import Config
from shared.paths import Paths

PROCFILE = Path(__file__).with_name("procfile")


def main() -> int:
    parser = argparse.ArgumentParser(prog="banger-launcher", allow_abbrev=False)
    parser.add_argument("--procfile", type=Path, default=PROCFILE)
    procfile: Path = parser.parse_args().procfile
    paths = Paths.from_environment()
    return start_service(
        "launcher",
        paths,
        lambda log, config: Launcher(paths, log, procfile, external(config)),
        member=True,
    )


def external(config: Config) -> frozenset[str]:
    """Services of the procfile that run elsewhere."""
    return frozenset({"nat"}) if config.nat.external else frozenset()


if __name__ == "__main__":
    sys.exit(main())
