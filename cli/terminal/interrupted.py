"""What a signal raises, apart from its handlers: every command has to know it, few need ``signal``,
which takes 1 ms to import.
"""


class Interrupted(BaseException):
    """A signal asked the command to end. Not an Exception: only cleaning up may catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_status(self) -> int:
        """As shells have it."""
        return 128 + self.number
