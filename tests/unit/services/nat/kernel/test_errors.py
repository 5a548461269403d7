"""Errors of the kernel as a person reads them."""

import errno

import pytest

from services.nat.kernel.errors import kernel_error
from shared.errors import Code


@pytest.mark.parametrize(
    ("code", "expected"),
    [(errno.EPERM, Code.DENIED), (errno.EACCES, Code.DENIED), (errno.EBUSY, Code.UNAVAILABLE)],
)
def test_missing_privilege_is_told_from_everything_else(code: int, expected: Code) -> None:
    assert kernel_error("creating the bridge failed", code).code is expected


def test_error_names_what_failed_and_why() -> None:
    error = kernel_error("creating the bridge failed", errno.EBUSY)
    assert error.message == "creating the bridge failed: Device or resource busy"
