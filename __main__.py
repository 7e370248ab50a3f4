"""Declares one environment in two stacks (`components/environment.py`)."""

from __future__ import annotations

import pulumi

from components.environment import declare

declare(pulumi.get_stack())
