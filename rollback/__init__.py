"""Rolls a bad release back: one lifecycle of plan, approval, lease, execution, verification and record."""

# The distribution's: pyproject.toml reads it here, and a ledger that asks for a later one names it.
__version__ = "0.1.0"
