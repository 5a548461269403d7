"""``python -m tests.scripted.worker``: a real worker with scripted jobs."""

import sys

from services.workspaces.worker import main

if __name__ == "__main__":
    sys.exit(main("tests.scripted.jobs"))
