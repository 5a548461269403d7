"""``make bench``: every speed bar of the product, measured in one run, as a table and as JSON.

Ratios are against a floor or a peer measured in turn with the product. Exit status 0 whatever the
figures are: a benchmark informs, tests judge.
"""

import json
import os
import sys
from dataclasses import asdict

from benchmarks import broker, cli, dns, fleet, machine, nat
from benchmarks.harness.measure import table
from shared.paths import Paths


def main() -> int:
    paths = Paths.from_environment()
    cli.banger("daemon", "start")
    figures = [
        *broker.figures(paths),
        *dns.figures(),
        *cli.figures([f"bench-{os.getpid()}-{n}" for n in range(10)]),
        *machine.figures(paths),
        *fleet.figures(paths),
        *(nat.figures() if os.geteuid() == 0 else ()),  # in a network namespace of its own
    ]
    sys.stdout.write(table(figures))
    sys.stdout.write(json.dumps([asdict(f) | {"value": f.value, "met": f.met} for f in figures]))
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
