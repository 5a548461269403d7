"""``python -m tests.scripted.worker``: a real worker with scripted jobs."""

from dataclasses import replace

from services.workspaces.worker import JOBS
from shared.workers.worker import main

SCRIPTED = replace(JOBS, package="tests.scripted.jobs")

if __name__ == "__main__":
    main(SCRIPTED)
