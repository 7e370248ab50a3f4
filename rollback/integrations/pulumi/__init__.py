"""The Pulumi engine, driven through its command line.

The Automation API is not used for this. It hides the engine's process, which has to be known by its pid so
that it can be stopped in good order and its lock be told from a living one's; it exports checkpoints with
their secrets in the clear; and it asks for a stack's outputs and history around every update, a second in
all. What it stands on, `--json`, is used instead.
"""

from __future__ import annotations

from rollback.integrations.pulumi.backend import backend_url, place
from rollback.integrations.pulumi.process import Denied
from rollback.integrations.pulumi.update_history import Update, deployed_commit, history

__all__ = ["Denied", "Update", "backend_url", "deployed_commit", "history", "place"]
