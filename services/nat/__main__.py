"""``python -I -m banger services.nat``: serve until stopped. With ``--user NAME``: external.py."""

import sys

from services.nat.deployment import external
from services.nat.deployment.identity import own_identity
from services.nat.service import Nat
from shared.bus.runner import start_service
from shared.errors import BangerError
from shared.paths import Paths


def main() -> int:
    try:
        external_nat = external.parse(sys.argv[1:])
        return _serve_own() if external_nat is None else _serve_user(external_nat)
    except BangerError as error:
        sys.stderr.write(error.to_text())
        return error.exit_status


def _serve_own() -> int:
    paths = Paths.from_environment()
    return start_service(
        "nat", paths, lambda log, config: Nat(paths, log, config, own_identity(paths, config))
    )


def _serve_user(nat: external.ExternalNat) -> int:
    external.prepare(nat)
    return start_service(
        "nat",
        nat.paths,
        lambda log, config: Nat(nat.paths, log, config, nat.identity),
        log_file=nat.log_file,
        config_file=nat.config_file,
    )


if __name__ == "__main__":
    sys.exit(main())
