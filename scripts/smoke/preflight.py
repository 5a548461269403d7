"""What must be so before the first scenario; what is not is told with what to do."""

import json
from typing import Any

from cli.doctor.services import is_free
from scripts.smoke.stack import Stack

BUILT_BEFORE = ("image", "kernel")
"""Warnings of doctor that end the suite: a namespace has no way to a mirror to build them from."""


def obstacles(stack: Stack, stacks: int) -> list[str]:
    """Why the suite cannot begin, one line each; ``stacks`` is how many it will have."""
    done = stack.home.banger("doctor", "-o", "json", check=False)
    try:
        checks = json.loads(done.stdout)
    except ValueError:
        return [f"banger doctor ended with {done.returncode}: {done.stderr.strip()}"]
    failed = [_told(check) for check in checks if _prevents(check)]
    return failed + _taken_ports(stack, stacks)


def _prevents(check: dict[str, Any]) -> bool:
    missing = check["status"] == "WARN" and check["name"] in BUILT_BEFORE
    return bool(check["status"] == "FAIL" or missing)


def _told(check: dict[str, Any]) -> str:
    return f"{check['name']}: {check['found']}; {check['hint'] or 'see banger doctor'}"


def _taken_ports(stack: Stack, stacks: int) -> list[str]:
    """As an ordinary user the stacks' DNS servers share this machine's loopback with others'."""
    ports = range(stack.dns_port, stack.dns_port + stacks + 1)
    taken = stack.ground.run(lambda: [port for port in ports if not is_free(port)])
    advice = "end what listens there (ss -lnp shows it) and try again"
    return [f"dns: port {port} on 127.0.0.1 is taken; {advice}" for port in taken]
