"""``build_plan``: the steps of a file, their keys, and what the image says of itself."""

from pathlib import Path

from services.images.building import dockerfile, dockerfile_steps, toml_file
from services.images.building.context_files import BuildContext
from services.images.building.keys import image_key, step_keys
from services.images.jobs.build_base import read_file
from shared.contract.messages.build import BuildPlan, BuildQuestion, BuildStep
from shared.contract.messages.image import ImageConfig
from shared.workers.job import JobContext


def run(request: BuildQuestion, context: JobContext) -> BuildPlan:
    """Raises ``invalid`` with the line, and as ``BuildContext.copied``."""
    context.progress("plan", "reading what is copied")
    steps, config = _read(request)
    keys = step_keys(request.base, steps, BuildContext(Path(request.context)))
    key = image_key(request.base, keys, config, work_seed=request.work_seed)
    return BuildPlan(steps=steps, keys=keys, key=key, config=config)


def _read(request: BuildQuestion) -> tuple[list[BuildStep], ImageConfig]:
    name, content = read_file(request)
    below = request.base.config
    if request.syntax == "toml":
        found = toml_file.parse(name, content)
        return toml_file.steps_of(name, content, found), toml_file.config_of(found, below)
    instructions = dockerfile.parse(name, content)
    return dockerfile_steps.steps_of(name, instructions, request.arguments, below)
