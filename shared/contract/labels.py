"""Labels of VMs: short texts by key, which mean something to users and nothing to banger.

Pure, and cheap to import: the command line parses labels, the api checks and merges them.
"""

import re

from shared.errors import BangerError, Code

KEY = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?"
MOST_LABELS = 64
LONGEST_VALUE = 255

Labels = dict[str, str]
LabelChanges = dict[str, str | None]
"""Key -> new value, or None to remove the label."""


def parse_label(text: str) -> tuple[str, str | None]:
    """``KEY=VALUE`` sets a label, ``KEY-`` removes it. Raises ``invalid``."""
    key, separator, value = text.partition("=")
    if not separator and text.endswith("-"):
        return _checked_key(text[:-1]), None
    if not separator:
        raise BangerError(
            Code.INVALID, f"{text!r} is not a label", hint="use KEY=VALUE, or KEY- to remove KEY"
        )
    return _checked_key(key), _checked_value(key, value)


def merged(labels: Labels, changes: LabelChanges) -> Labels:
    """``labels`` after ``changes``.

    Raises:
        BangerError: ``invalid`` for a key or value that cannot be one, and for too many labels.
    """
    after = dict(labels)
    for key, value in changes.items():
        after.pop(_checked_key(key), None)
        if value is not None:
            after[key] = _checked_value(key, value)
    if len(after) > MOST_LABELS:
        raise BangerError(Code.INVALID, f"a VM has at most {MOST_LABELS} labels")
    return after


def _checked_key(key: str) -> str:
    if not re.fullmatch(KEY, key):
        raise BangerError(
            Code.INVALID,
            f"{key!r} is not a valid label key",
            hint="use 1 to 63 characters: letters, digits, and . _ / - between them",
        )
    return key


def _checked_value(key: str, value: str) -> str:
    if len(value) > LONGEST_VALUE or not (value.isprintable() or not value):
        raise BangerError(
            Code.INVALID,
            f"the value of the label {key} is not valid",
            hint=f"use at most {LONGEST_VALUE} printable characters",
        )
    return value
