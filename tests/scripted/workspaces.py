"""``python -m tests.scripted.workspaces``: the real service, whose workers have scripted jobs."""

import sys

from services.workspaces.service import WorkspacesService
from shared.bus.runner import start_service
from shared.paths import Paths

WORKER = [sys.executable, "-m", "tests.scripted.worker"]

if __name__ == "__main__":
    own_paths = Paths.from_environment()
    sys.exit(
        start_service(
            "workspaces",
            own_paths,
            lambda log, config: WorkspacesService(own_paths, log, config, WORKER),
            member=True,
        )
    )
