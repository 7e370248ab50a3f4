"""The Pulumi engine, driven through its command line.

The Automation API (https://www.pulumi.com/docs/iac/automation-api/) is not used for this. It hides the
engine's process, whose pid must be known so that it can be stopped gracefully and its lock be told from that
of a living process; it exports checkpoints with their secrets in plain text; and it asks for a stack's
outputs and history around every update, a second in all. What it is built on, `--json`, is used instead.
"""

from __future__ import annotations

from rollback.integrations.pulumi.backend import backend_url, place
from rollback.integrations.pulumi.process import Denied
from rollback.integrations.pulumi.update_history import Update, deployed_commit, history

__all__ = ["Denied", "Update", "backend_url", "deployed_commit", "history", "place"]
