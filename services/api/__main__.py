"""``python -m services.api``: serve until told to stop."""

import sys

from services.api.service import Api
from shared.bus.runner import start_service
from shared.paths import Paths


def main() -> int:
    paths = Paths.from_environment()
    return start_service("api", paths, lambda log, config: Api(paths, log, config), member=True)


if __name__ == "__main__":
    sys.exit(main())
