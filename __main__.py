"""Declares one environment in two stacks (`components/environment.py`)."""

from __future__ import annotations

from components.environment import declare

declare()
