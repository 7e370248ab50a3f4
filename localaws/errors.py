"""The error of the local account's tools."""

from __future__ import annotations


class LocalError(Exception):
    """What happened and what to do, as sentences for a terminal."""
