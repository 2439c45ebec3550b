"""The sandbox's clock: the system's, unless a test has moved or stopped it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class ClockSetting:
    """How the sandbox's time differs from the system's: ahead by an offset, or standing still."""

    offset_seconds: float = 0.0
    frozen_at: float | None = None


class Clock:
    """Tells the time in whole seconds, as Stripe's objects do."""

    def __init__(self, setting: ClockSetting) -> None:
        self.setting = setting

    def now(self) -> int:
        """Seconds since 1970."""
        return int(self._time())

    def _time(self) -> float:
        if self.setting.frozen_at is not None:
            return self.setting.frozen_at
        return time.time() + self.setting.offset_seconds

    def set_to(self, moment: float) -> None:
        """Jump to a moment, forwards or backwards; running or frozen stays as it was."""
        if self.setting.frozen_at is not None:
            self.setting = replace(self.setting, frozen_at=moment)
        else:
            self.setting = ClockSetting(offset_seconds=moment - time.time())

    def advance(self, seconds: float) -> None:
        """Jump ahead."""
        self.set_to(self._time() + seconds)

    def freeze(self) -> None:
        """Stand still at the present moment."""
        self.setting = ClockSetting(frozen_at=self._time())

    def thaw(self) -> None:
        """Run on from the present moment."""
        self.setting = ClockSetting(offset_seconds=self._time() - time.time())
