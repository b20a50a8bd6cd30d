"""The exit codes of every command."""

OK = 0
FINDINGS = 1
"""Something is wrong with what was judged."""
USAGE = 2
"""A wrong argument, unreadable input, a broken spec."""
NOTHING_RAN = 3
"""The target is unreachable, the run was interrupted, or nothing was judged."""
INTERNAL = 4
"""A fault of ours."""


class StoppedError(Exception):
    """A command cannot go on; says why, and with which exit code it ends."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
