"""``python -m services.images.worker``: the process of one long job about images."""

from services.images.jobs import requests
from shared.contract.messages.build import BuildQuestion, BuildRun
from shared.contract.messages.image_work import ImageFileBuild
from shared.workers.worker import Jobs, main

JOBS = Jobs(
    package="services.images.jobs",
    requests={
        "build_base": ImageFileBuild,
        "build_plan": BuildQuestion,
        "build_step": BuildRun,
        "capture": requests.CaptureJob,
        "export_archive": requests.ExportJob,
        "import_archive": requests.ImportJob,
        "promote": requests.PromoteJob,
        "pull": requests.PullJob,
        "register": requests.RegisterJob,
    },
)

if __name__ == "__main__":
    main(JOBS)
