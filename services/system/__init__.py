"""The composition root: builds any set of services in one process and hands out their stubs.

Each service has a module here that says in one place what it is made of. Nothing else constructs a
store, a servicer or a worker.
"""

from services.system.assembling import SERVICES, open_system
from services.system.shared import System

__all__ = ["SERVICES", "System", "open_system"]
