"""Measures the command against the script that it replaces and against the account's quotas."""
