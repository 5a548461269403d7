"""``python -m benchmarks [--smoke] [NAME...]``: run benchmarks, print a table and JSON.

Every figure is a ratio against a floor or a peer that was measured in turn with the product. The
exit status is 0 whatever the figures are: a benchmark informs, tests judge. It is 1 when a named
benchmark cannot run on this host; without names, such a benchmark is left out.
"""

import argparse
import json
import sys
from dataclasses import asdict

from benchmarks.harness.catalogue import names, run
from benchmarks.harness.measure import Figure, NotHere, heading, line


def main(argv: list[str]) -> int:
    options = parse(argv)
    sys.stdout.write(heading())
    figures: list[Figure] = []
    status = 0
    for name in options.name or names():
        try:
            found = run(name, smoke=options.smoke)
        except NotHere as reason:
            sys.stderr.write(f"{name}: not run: {reason}\n")
            status = 1 if options.name else 0
            continue
        sys.stdout.writelines(map(line, found))
        sys.stdout.flush()  # the next benchmark may take minutes
        figures += found
    json.dump([asdict(f) | {"ratio": f.ratio, "met": f.met} for f in figures], sys.stdout)
    sys.stdout.write("\n")
    return status


def parse(argv: list[str]) -> argparse.Namespace:
    """``smoke``: bool; ``name``: list of benchmarks, empty for all."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Run benchmarks; print a table and JSON."
    )
    parser.add_argument("--smoke", action="store_true", help="one short pass; the figures are void")
    # Not by ``choices``: argparse would hold an empty list against them, too.
    parser.add_argument(
        "name", nargs="*", type=_known, metavar="NAME", help=f"one of: {', '.join(names())}"
    )
    return parser.parse_args(argv)


def _known(name: str) -> str:
    if name not in names():
        raise argparse.ArgumentTypeError(f"there is no benchmark {name!r}")
    return name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
