"""``build_base``: which image a file begins with."""

from pathlib import Path

from services.images.building import dockerfile, dockerfile_steps, toml_file
from services.images.building.source_text import LONGEST_FILE, refuse
from shared.contract.messages.build import BuildBase
from shared.contract.messages.image_work import ImageFileBuild
from shared.errors import BangerError, Code
from shared.workers.job import JobContext


def run(request: ImageFileBuild, _context: JobContext) -> BuildBase:
    """Raises ``invalid`` with the line, ``not_found``."""
    name, content = read_file(request)
    if request.syntax == "toml":
        found = toml_file.parse(name, content)
        return BuildBase(reference=found.base, name=found.name)
    instructions = dockerfile.parse(name, content)
    reference, _ = dockerfile_steps.base_of(name, instructions, request.arguments)
    return BuildBase(reference=reference)


def read_file(request: ImageFileBuild) -> tuple[str, str]:
    """The file's own name, and what is in it."""
    path = Path(request.file)
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE + 1)
    except OSError as error:
        code = Code.NOT_FOUND if isinstance(error, FileNotFoundError) else Code.DENIED
        raise BangerError(code, f"cannot read {path}: {error.strerror}") from error
    if len(content) > LONGEST_FILE:
        refuse(path.name, 0, f"it is longer than {LONGEST_FILE >> 10} KiB")
    try:
        return path.name, content.decode()
    except UnicodeDecodeError as error:
        refuse(path.name, content[: error.start].count(b"\n") + 1, "it is not UTF-8")
