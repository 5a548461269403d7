"""A build's file and its context, as the jobs are asked with them."""

from pathlib import Path
from typing import Any

from shared.contract.messages.build import BuildQuestion
from shared.contract.messages.image_work import ImageFileBuild
from shared.workers.job import JobContext
from tests.fakes.images import IMAGE

JOB = JobContext(Path("/nowhere"), lambda *_: None)


def request(top: Path, content: str, syntax: Any = "dockerfile", **more: Any) -> ImageFileBuild:
    """Of a file that is written into ``top``."""
    file = top / ("Dockerfile" if syntax == "dockerfile" else "image.toml")
    file.write_text(content)
    return ImageFileBuild(file=str(file), syntax=syntax, context=str(top), **more)


def question(top: Path, content: str, syntax: Any = "dockerfile", **more: Any) -> BuildQuestion:
    asked = request(top, content, syntax, **more)
    fields = {name: getattr(asked, name) for name in ImageFileBuild.__struct_fields__}
    return BuildQuestion(**fields, base=IMAGE)
