"""What keeps a process from starting: one line that says what is wrong and what to do about it."""

from typing import ClassVar


class StartupError(Exception):
    """An operating error before work has begun; a command prints it and leaves with its code."""

    exit_code: ClassVar[int] = 1
