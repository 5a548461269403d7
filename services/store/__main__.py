"""``python -m services.store``: serve until told to stop."""

import sys

from services.store.service import StoreService
from shared.bus.runner import start_service
from shared.paths import Paths


def main() -> int:
    paths = Paths.from_environment()
    return start_service(
        "store", paths, lambda log, config: StoreService(paths, log, config), member=True
    )


if __name__ == "__main__":
    sys.exit(main())
