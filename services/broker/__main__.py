"""``python -m services.broker``: route messages until a signal comes."""

import sys

from services.broker.service import Broker
from shared.bus import open_files
from shared.config import load_config
from shared.errors import BangerError
from shared.logs import Log
from shared.paths import Paths


def main() -> int:
    paths = Paths.from_environment()
    open_files.raise_limit()
    try:
        log = Log(
            paths.log_file("broker"), "broker", level=load_config(paths.config_file).log_level
        )
        Broker(paths, log).serve()
    except BangerError as error:
        sys.stderr.write(error.to_text())
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
