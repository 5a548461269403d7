"""One line of ``banger doctor``."""

from shared.vmm.info import Finding


def ok(name: str, found: str) -> Finding:
    return Finding(name, "PASS", found)


def warn(name: str, found: str, hint: str = "") -> Finding:
    return Finding(name, "WARN", found, hint)


def fail(name: str, found: str, hint: str = "") -> Finding:
    return Finding(name, "FAIL", found, hint)
