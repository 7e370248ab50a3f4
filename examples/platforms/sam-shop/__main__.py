"""Declares one environment in two stacks (`rollback.components.environment`)."""

from __future__ import annotations

import pulumi
from rollback.components.environment import declare

declare(pulumi.get_stack())
