"""payment-cli with fewer connections to the database than callers, and little patience."""

from datetime import timedelta
from functools import partial
from typing import Final
from unittest.mock import patch

from cli.main import main
from services.runtime.database import Database

CONNECTIONS: Final = 2
PATIENCE_SECONDS: Final = 0.25

if __name__ == "__main__":
    small = partial(
        Database.connect, pool_size=CONNECTIONS, patience=timedelta(seconds=PATIENCE_SECONDS)
    )
    with patch.object(Database, "connect", small):
        main()
