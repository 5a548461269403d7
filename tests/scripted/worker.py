"""``python -m tests.scripted.worker``: a real worker with scripted jobs."""

from services.workspaces.worker import main

if __name__ == "__main__":
    main("tests.scripted.jobs")
