"""run.json: what a running Switchyard tells the commands on the same machine.

It lies in the home, readable by its owner alone, because it holds the token that opens every door.
It is written when everything answers and removed at a clean end; after a kill it is stale, and
whoever follows it finds nobody there.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Final, Self

from services.runtime.startup import StartupError

_NAME: Final = "run.json"


class NotRunning(StartupError):
    """Nothing runs under this home, or not what the command needs."""

    exit_code: ClassVar[int] = 1


@dataclass(frozen=True)
class RunFile:
    """Where the doors of a running system are, and the token they want."""

    pid: int
    grpc_address: str
    grpc_token: str
    database_url: str
    metrics_url: str | None = None
    http_url: str | None = None
    sandbox_url: str | None = None
    merchant: Mapping[str, str] | None = None
    """The `id` of a merchant that is there from the first start, and an `api_key` of its own."""
    other_merchant: Mapping[str, str] | None = None
    admin: Mapping[str, str] | None = None
    """An operator's `api_key`."""
    stripe_webhook_secret: str | None = None

    def write(self, home: Path) -> None:
        """Put it where `read` finds it, whole or not at all."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        draft = home / f".{_NAME}.{self.pid}"
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600, exist_ok=False)
        draft.write_text(text)
        draft.replace(home / _NAME)

    @classmethod
    def read(cls, home: Path) -> Self:
        """What runs under this home."""
        path = home / _NAME
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            raise NotRunning(
                f"nothing runs under {home}: start it with payment-cli up, or name its --home"
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise NotRunning(f"{path} cannot be read ({error}): start Switchyard again") from error

    def remove(self, home: Path) -> None:
        """Take it away, unless another process has put its own there since."""
        try:
            if type(self).read(home) == self:
                (home / _NAME).unlink(missing_ok=True)
        except NotRunning:
            return
