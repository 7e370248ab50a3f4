"""The version of this command, which pyproject.toml reads, too, and which a ledger may require to be newer."""

__version__ = "0.1.0"
DISTRIBUTION = "rollback-cli"
# What to type if a later version is required (docs/install.md).
UPGRADE = f"pip install --upgrade {DISTRIBUTION}"
