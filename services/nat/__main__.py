"""``python -m services.nat``: serve until told to stop."""

import sys

from services.nat.service import Nat
from shared.bus.runner import start_service
from shared.paths import Paths


def main() -> int:
    paths = Paths.from_environment()
    return start_service("nat", paths, lambda log, config: Nat(paths, log, config))


if __name__ == "__main__":
    sys.exit(main())
