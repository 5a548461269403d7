"""What the command line makes of a result: a MessagePack map whose fields are attributes too.

A command does not import msgspec and the structs, because a prompt feels every import. For the type
checker a ``Record`` is the struct that the catalogue names as the verb's result.
"""

from typing import Any, cast


class Record(dict[str, Any]):
    """One map of a decoded message. ``json.dumps`` prints it as it is."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"this result has no field {name!r}") from None


def fields_of(result: object) -> dict[str, Any]:
    """The fields of a result, as ``-o json`` prints them."""
    return cast(dict[str, Any], result)
