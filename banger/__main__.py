"""``python -I -m banger MODULE [WORD…]``: run one of our modules, such as ``services.store``."""

import runpy
import sys

from banger import ROOT


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: python -I -m banger MODULE [WORD...]")
    sys.path.insert(0, ROOT)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
