"""``python -m services.images``: serve until a signal comes."""

import sys

from services.images.service import ImagesService
from shared.bus.runner import start_service
from shared.paths import Paths


def main() -> int:
    paths = Paths.from_environment()
    return start_service(
        "images", paths, lambda log, config: ImagesService(paths, log, config), member=True
    )


if __name__ == "__main__":
    sys.exit(main())
