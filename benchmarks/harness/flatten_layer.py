"""``python -m benchmarks.harness.flatten_layer BLOB DIFF_ID OUTPUT``: what a worker does."""

import sys
from dataclasses import dataclass
from pathlib import Path

from services.images.oci.flatten.flattening import flatten


@dataclass(frozen=True)
class BenchLayer:
    path: Path
    diff_id: str


if __name__ == "__main__":
    flatten([BenchLayer(Path(sys.argv[1]), sys.argv[2])], Path(sys.argv[3]))
