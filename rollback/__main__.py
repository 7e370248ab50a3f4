"""`python -m rollback`, where the console script is not installed."""

from rollback.cli import main

main()
