"""What is felt at every prompt: commands that boot nothing, against the interpreter they run in."""

from benchmarks.harness.measure import Figure, paired
from benchmarks.harness.product import installed, interpreter
from tests.home import Home

VMS, RUNS = 10, 20
PEER = "python -c pass"


def figures(*, smoke: bool) -> list[Figure]:
    count, runs = (1, 1) if smoke else (VMS, RUNS)
    names = [f"bench-{number}" for number in range(count)]
    with installed() as home:
        return [
            _listing(home, 0, runs, bar=6.0),
            _for_each(home, names, "vm create --no-start", "--name", limit=0.3),
            _listing(home, count, runs, bar=6.5),
            _for_each(home, names, "vm delete", limit=0.5),
        ]


def _listing(home: Home, count: int, runs: int, *, bar: float) -> Figure:
    command = "vm list -o json"
    measured, floor = paired(
        lambda: home.banger(*command.split()), interpreter, runs=runs, warm_up=1
    )
    return Figure(f"{command}, {count} VMs", "s", measured, floor, PEER, runs, bar=bar)


def _for_each(home: Home, names: list[str], command: str, *words: str, limit: float) -> Figure:
    """``command``, ``words`` and a name, once for each of ``names``; none of the VMs runs."""
    waiting = iter(names)
    measured, floor = paired(
        lambda: home.banger(*command.split(), *words, next(waiting)),
        interpreter,
        runs=len(names),
    )
    return Figure(command, "s", measured, floor, PEER, len(names), limit=limit)
