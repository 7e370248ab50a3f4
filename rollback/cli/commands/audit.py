"""`rollback audit`: whether anything in the ledger was changed, removed or added by something else than this command."""

from __future__ import annotations

from rollback.cli.options import Env, Json
from rollback.cli.runtime import verb
from rollback.util.errors import Code, RollbackError, VerificationFailed
from rollback.views import audit as views


def audit(env: Env, json: Json = False) -> None:
    """Check the whole ledger against its archive: exit 5 if an item was changed."""
    with verb(env, json, reads=True) as (opened, ui):
        seen = opened.audit()
        ui.show(views.view(seen), views.document(seen))
        if seen.findings:
            first, more = seen.findings[0], len(seen.findings) - 1
            raise VerificationFailed(
                f"The ledger of {env} is broken at {first}" + (f" (and {more} more)." if more else "."),
                code=Code.AUDIT_BROKEN,
                changed="Nothing was changed.",
                next="Do not act on a record that is named. CloudTrail's data events show who wrote to the table; its "
                "point-in-time recovery has the earlier content.",
            )
        if seen.declared and seen.unread:
            raise RollbackError(
                f"The ledger's hash chains are valid, but its archive could not be read: {seen.unread}",
                code=Code.ARCHIVE_UNAVAILABLE,
                changed="Nothing was changed.",
                next="Only the archive proves the newest entries of the ledger. Run the audit again when the archive can be read.",
            )
