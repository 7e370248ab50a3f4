"""Acceptance: tries in a real account the facts that this tool relies on, in a sandbox of its own."""
