"""Rolls a bad release back: one lifecycle of plan, approval, lease, execution, verification and record."""

# As in pyproject.toml: what a ledger names that asks for a later one.
__version__ = "0.1.0"
