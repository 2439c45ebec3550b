"""`python -m bench <name> […]`: runs one measurement; without a name, lists them."""

import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module

import bench


def main(arguments: Sequence[str]) -> int:
    """Hand the arguments to the measurement that the first of them names.

    Each module here is one: its first line says what it measures, its `main(arguments)` does it.
    """
    names = [module.name for module in pkgutil.iter_modules(bench.__path__)]
    names.remove("__main__")
    if not arguments or arguments[0] not in names:
        sys.stderr.write("usage: python -m bench <name> [options]\n")
        for name in names:
            summary = (import_module(f"bench.{name}").__doc__ or "").partition("\n")[0]
            sys.stderr.write(f"  {name:<10} {summary}\n")
        return 2
    code: int = import_module(f"bench.{arguments[0]}").main(arguments[1:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
