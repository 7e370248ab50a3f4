"""Rollbacks of aliases without the ledger, journalled in a file."""
