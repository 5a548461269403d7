"""``python -m services.workspaces``: serve until a signal comes."""

import sys

from services.workspaces.service import WorkspacesService
from shared.bus.runner import start_service
from shared.paths import Paths


def main() -> int:
    paths = Paths.from_environment()
    return start_service(
        "workspaces", paths, lambda log, config: WorkspacesService(paths, log, config), member=True
    )


if __name__ == "__main__":
    sys.exit(main())
