"""The version of this command: pyproject.toml reads it here, and a ledger that asks for a later one names it."""

__version__ = "0.1.0"
DISTRIBUTION = "rollback-cli"
# What to type where something asks for a later version (docs/install.md).
UPGRADE = f"pip install --upgrade {DISTRIBUTION}"
