"""Becomes another program, under another account, which the kernel ends when its starter dies.

    python guard.py <starter's pid> <uid> <gid> <signal> <program> [argument …]

It is run as a script, not imported: changing the account and asking for the signal must happen in
the child between fork and exec, where a process with threads may not run Python code of its own.
"""

import ctypes
import os
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    starter, uid, gid, death_signal = map(int, sys.argv[1:5])
    command = sys.argv[5:]
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After the change of account, which would clear it again.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != starter:
            sys.exit("the starter died first")
    os.execv(command[0], command)  # noqa: S606 -- the program is ours, and there is no shell


if __name__ == "__main__":
    main()
