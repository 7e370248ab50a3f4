"""Compares the command with the script that it replaces and with the account's quotas."""
