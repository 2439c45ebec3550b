"""`python -m cli` is payment-cli."""

from cli.main import main

main()
