"""Releases: recorded, listed, adopted, compared and quarantined."""
