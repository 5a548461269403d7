"""``python -m services.nat``: serve until told to stop. With ``--user NAME``: see external.py."""

import sys

from services.nat.deployment import external
from services.nat.deployment.identity import own_station
from services.nat.service import Nat
from shared.bus.runner import start_service
from shared.errors import BangerError
from shared.paths import Paths


def main() -> int:
    try:
        service = external.parse(sys.argv[1:])
        return _serve_own() if service is None else _serve_user(service)
    except BangerError as error:
        sys.stderr.write(error.to_text())
        return error.exit_status


def _serve_own() -> int:
    paths = Paths.from_environment()
    return start_service(
        "nat", paths, lambda log, config: Nat(paths, log, config, own_station(paths, config))
    )


def _serve_user(service: external.Service) -> int:
    external.make_ready(service)
    return start_service(
        "nat",
        service.paths,
        lambda log, config: Nat(service.paths, log, config, service.station),
        log_file=service.log_file,
        config_file=service.config_file,
    )


if __name__ == "__main__":
    sys.exit(main())
