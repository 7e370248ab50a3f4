"""What the local account's tools say when they cannot go on."""

from __future__ import annotations


class LocalError(Exception):
    """What happened and what to do about it, in sentences for a terminal."""
