"""Frozen data and pure decisions: plans, records, releases, and what follows from them. No AWS, no files."""
