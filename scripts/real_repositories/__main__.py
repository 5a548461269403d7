"""``python -m scripts.real_repositories [NAME...]``: other people's projects through a guest.

Each is fetched, committed into git, taken in by ``banger vm run PATH``, checked there by its own
tests, changed, and exported; the patch must give the guest's tree on a fresh clone. Exit status 1
when one failed.
"""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.harness.product import installed
from scripts.real_repositories.sources import Fetcher, FetchFailed, Project
from scripts.real_repositories.trial import IMAGE, PACKAGES, Report, trial

BUILD_SECONDS = 900.0
UNIT_TESTS = "python3 -m pytest -q -p no:cacheprovider"
PROJECTS = (
    Project("bzip2", "debian", "make test"),
    Project("zlib", "debian", "./configure --static && make libz.a && make teststatic"),
    Project("liburi-perl", "debian", "perl Makefile.PL && make && prove -b t/[i-r]*.t"),
    Project("tree", "debian", "make && ./tree --version"),
    Project("docutils", "pypi", f"{UNIT_TESTS} test/test_nodes.py test/test_utils"),
    Project("markdown", "pypi", "python3 -m unittest -q tests.test_meta tests.test_extensions"),
    Project("more-itertools", "pypi", f"{UNIT_TESTS} tests/test_recipes.py -k 'Take or Flatten'"),
    Project("pyflakes", "pypi", "python3 -m unittest -q pyflakes.test.test_imports"),
    Project("idna", "pypi", "python3 -m unittest -q tests.test_intranges tests.test_idna_compat"),
    Project("sphinx", "pypi", "python3 -m compileall -q sphinx"),
)


def main(names: list[str]) -> int:
    projects = [each for each in PROJECTS if not names or each.name in names]
    reports = []
    with tempfile.TemporaryDirectory(prefix="bgr") as directory, installed() as home:
        work = Path(directory)
        image = ("image", "build", "debian-bookworm", "--name", IMAGE)
        home.banger(*image, "--include", ",".join(PACKAGES), timeout=BUILD_SECONDS)
        fetcher = Fetcher(work)
        for project in projects:
            try:
                report = trial(home, project, fetcher.fetch(project), work)
            except FetchFailed as error:
                report = Report(project.name, 0, 0, result=f"FAILED to fetch: {error}")
            reports.append(report)
            sys.stdout.write(_line(report))
            sys.stdout.flush()
    json.dump([report.as_dict() for report in reports], sys.stdout)
    sys.stdout.write("\n")
    return 0 if all(report.result == "same tree" for report in reports) else 1


def _line(report: Report) -> str:
    """A row of a table in Markdown."""
    times = f"{report.run:.1f} s | {report.again:.2f} s | {report.export:.2f} s"
    size = f"{report.files} | {report.bytes / 1e6:.1f} MB"
    patch = f"{report.patch_bytes / 1e3:.0f} kB"
    return f"| {report.project} | {size} | {times} | {patch} | {report.result} |\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
