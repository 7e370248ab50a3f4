"""`python -m rollback`, where the console script is not installed."""

from rollback.cli.entry import main

main()
