"""``python -m services.images.worker``: the process of one long job about images."""

from services.images.jobs import requests
from shared.workers.worker import Jobs, main

JOBS = Jobs(
    package="services.images.jobs",
    requests={
        "export_archive": requests.ExportJob,
        "import_archive": requests.ImportJob,
        "promote": requests.PromoteJob,
        "pull": requests.PullJob,
        "register": requests.RegisterJob,
    },
)

if __name__ == "__main__":
    main(JOBS)
