"""`python -m rollback`, where the console script is not installed."""

from rollback.cli.app import main

main()
