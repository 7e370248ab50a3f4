"""The Pulumi engine, driven through the Automation API: a stack's history, its state, and a commit's program on it."""

from __future__ import annotations

from rollback.integrations.pulumi.backend import backend_url, place
from rollback.integrations.pulumi.engine import Denied
from rollback.integrations.pulumi.update_history import Update, deployed_commit, history

__all__ = ["Denied", "Update", "backend_url", "deployed_commit", "history", "place"]
