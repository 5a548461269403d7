"""The scenarios, by subject. Importing a module registers what is in it."""

import importlib

MODULES = (
    "images",
    "lifecycle",
    "saving",
    "warm",
    "crashes",
    "network",
    "bridge",
    "runs",
    "workspace",
    "user_network",
    "session",
    "plain_ssh",
    "refusals",
    "reports",
)
"""Those whose group takes longest first, so that jobs end together."""


def load() -> None:
    for name in MODULES:
        importlib.import_module(f"{__name__}.{name}")
