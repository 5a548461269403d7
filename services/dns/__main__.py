"""``python -m services.dns``: serve until stopped."""

import sys

from services.dns.service import Dns
from shared.bus.runner import start_service
from shared.paths import Paths


def main() -> int:
    paths = Paths.from_environment()
    return start_service("dns", paths, lambda log, config: Dns(paths, log, config))


if __name__ == "__main__":
    sys.exit(main())
