"""Progress in bytes, as a message of a job."""

from collections.abc import Callable


def in_bytes(report: Callable[[str, str], None]) -> Callable[[str, int, int], None]:
    """Takes (stage, bytes that are done, bytes in all) and reports them as a text in MiB."""

    def progress(stage: str, done: int, total: int) -> None:
        report(stage, f"{done >> 20} of {-(-total >> 20)} MiB")

    return progress
