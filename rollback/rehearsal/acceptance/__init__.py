"""Acceptance: tests the facts about AWS that this tool relies on, in a sandbox in a real account."""
