"""``python -m services.images.worker``: the process of one long job about images."""

from services.images.jobs.capture import CaptureJob
from shared.contract.messages.build import BuildQuestion, BuildRun
from shared.contract.messages.image_work import ImageFileBuild
from shared.workers.worker import Jobs, main

JOBS = Jobs(
    package="services.images.jobs",
    requests={
        "build.base": ImageFileBuild,
        "build.plan": BuildQuestion,
        "build.run": BuildRun,
        "image.capture": CaptureJob,
    },
)
"""The module ``jobs/capture`` does ``image.capture`` by its function ``run``, and so on."""

if __name__ == "__main__":
    main(JOBS)
