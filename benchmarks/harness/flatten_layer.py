"""``python -m benchmarks.harness.flatten_layer BLOB DIFF_ID OUTPUT``: what a worker does."""

import sys
from pathlib import Path

from services.images.oci.flatten.flattening import flatten
from services.images.rootfs.intake import OneLayer

if __name__ == "__main__":
    flatten([OneLayer(Path(sys.argv[1]), sys.argv[2])], Path(sys.argv[3]))
