"""Every verb of the catalogue, for those that print it or hold the services against it."""

from importlib import import_module
from typing import Any

from shared.contract.verb import Verb

MODULES = ("daemon", "store", "api", "supervisor", "images", "workspaces", "nat", "dns")


def all_verbs() -> list[Verb[..., Any, Any]]:
    """In the order of the catalogue's modules and of their lines."""
    modules = (import_module(f"shared.contract.verbs.{name}") for name in MODULES)
    return [
        value for module in modules for value in vars(module).values() if isinstance(value, Verb)
    ]
