"""`rollback lambda --emergency`, and `rollback ledger …`: without the ledger, and once it is back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollback.cli.runtime import Env, Json, Reason, verb
from rollback.core.errors import Code, Refused, UsageError

if TYPE_CHECKING:
    from rollback.actions.context import Session
    from rollback.actions.emergency.run import Emergency
    from rollback.actions.run import Finished
    from rollback.model.plan import Request
    from rollback.views.terminal import Terminal

Emergent = Annotated[
    bool,
    typer.Option("--emergency", help="Without ledger, lease and approval, under the break-glass role."),
]
Resume = Annotated[
    Path | None, typer.Option("--resume", metavar="FILE", help="Emergency: go on with this journal.")
]
Undo = Annotated[
    Path | None, typer.Option("--undo", metavar="FILE", help="Emergency: put back what this journal moved.")
]
AlthoughAnswers = Annotated[
    bool,
    typer.Option("--although-the-ledger-answers", help="Emergency all the same; asks for a second word."),
]
AlthoughQuarantined = Annotated[
    bool,
    typer.Option("--although-quarantined", help="Emergency to a barred release; asks for a second word."),
]

ledger_app = typer.Typer(no_args_is_help=True, help="The ledger after an emergency, or after a restore.")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was typed beside the request. `although` says why a second word is asked for."""

    reason: str
    resume: Path | None
    undo: Path | None
    although_answers: bool
    although_quarantined: bool
    dry_run: bool


def only_in_an_emergency(options: Options) -> None:
    """Raises `UsageError` where an option of emergencies is given without one."""
    given = {
        "--resume": options.resume,
        "--undo": options.undo,
        "--although-the-ledger-answers": options.although_answers,
        "--although-quarantined": options.although_quarantined,
    }
    if words := [word for word, value in given.items() if value]:
        raise UsageError(f"{', '.join(words)} is for --emergency only.", code=Code.OPTION_INVALID)


def emergency(session: Session, ui: Terminal, stop: object, request: Request, options: Options) -> None:
    """The verb, once its session has begun."""
    from rollback.actions.emergency.journal import folder
    from rollback.actions.emergency.run import Emergency, under_its_role

    under_its_role(session)
    archive = session.ledger.archive
    if archive is None:
        raise Refused("This environment has no archive to go back by.", code=Code.ARCHIVE_UNAVAILABLE)
    acting = Emergency(session=session, ui=ui, archive=archive, place=folder(), stop=stop)  # type: ignore[arg-type] # an Event
    ui.alarm(
        f"EMERGENCY in {session.environment} ({session.settings.account}), by {session.caller}. No ledger, no lease, "
        f"no approval: what is done is journalled in {acting.place} on this machine."
    )
    if options.resume is not None:
        _ended(session, ui, acting, acting.resume(options.resume))
    elif options.undo is not None:
        _ended(session, ui, acting, acting.undo(options.undo, options.reason))
    else:
        _begun(session, ui, acting, request, options)


def _begun(session: Session, ui: Terminal, acting: Emergency, request: Request, options: Options) -> None:
    from rollback.ledger.health import ask
    from rollback.model.messages import checked_reason

    if not options.dry_run:
        checked_reason(options.reason)
        answer = ask(session.ledger.timeline)
        if answer.usable and not options.although_answers:
            raise Refused(
                "The ledger answers: this is no emergency.",
                code=Code.NO_EMERGENCY,
                next=f"rollback lambda --env {session.environment} --reason …, under "
                f"{session.settings.names.role('rollback')}. Where that cannot be: --although-the-ledger-answers, on a "
                "terminal.",
            )
        ui.say(answer.why or "The ledger answers, and is left aside.")
    plan = acting.plan(request, although_quarantined=options.although_quarantined)
    if options.dry_run:
        from rollback.core.canonical import plain

        if ui.json_output:
            ui.show("", {"digest": plan.digest(), **plain(plan)})
        return
    if options.although_answers or options.although_quarantined:
        _second_word(session, ui)
    _ended(session, ui, acting, acting.start(plan, options.reason))


def _second_word(session: Session, ui: Terminal) -> None:
    """Raises `Refused` where nobody types the environment's name."""
    typed = ui.typed(f"This goes past a guard. Type {session.environment} to go on: ")
    if typed is None:
        raise Refused(
            "Going past a guard takes a second word on a terminal, and there is none.",
            code=Code.CONFIRMATION_MISSING,
        )
    if typed != session.environment:
        raise Refused(f"That is not {session.environment}.", code=Code.CONFIRMATION_MISSING)


def _ended(session: Session, ui: Terminal, acting: Emergency, finished: Finished) -> None:
    from rollback.actions.emergency.journal import place_of
    from rollback.views.records import record_document, record_view
    from rollback.views.rich_layout import text

    if finished.record is None or finished.plan is None:
        said = (
            f"Nothing to do: every alias stands at {finished.plan.to_version} already."
            if finished.plan
            else ""
        )
        ui.show(text(said), {"status": "NOTHING_TO_DO"})
        return
    record = finished.record
    outcomes = session.target(record.kind).outcomes(finished.plan, finished.events)
    path = place_of(acting.place, record, session.settings.account)
    document = {**record_document(record, outcomes), "journal": str(path), "imported": False}
    ui.show(record_view(record), document)
    ui.alarm(
        f"EMERGENCY {record.rollback_id}: {record.status}. The ledger knows nothing of it until it has the journal."
    )
    if finished.error is not None:
        raise finished.error
    ui.next(f"rollback ledger import {path} --env {session.environment}, once the ledger is back")


@ledger_app.command("import")
def ledger_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An emergency's journal.")],
    env: Env,
    although_moved: Annotated[
        bool,
        typer.Option("--although-moved", help="Adopt it although the aliases stand otherwise by now."),
    ] = False,
    json: Json = False,
) -> None:
    """Adopt the journal of an emergency, once the ledger is back."""
    with verb(env, json, first=True) as (session, flow, ui):
        from rollback.actions.emergency.importer import Adoption
        from rollback.model.messages import next_for
        from rollback.views.records import record_document, record_view

        adopted = Adoption(session=session, ui=ui, stop=flow.stop).adopt(file, although_moved=although_moved)
        record = adopted.record
        outcomes = session.target(record.kind).outcomes(adopted.plan, adopted.events)
        ui.say(
            f"{'Imported' if adopted.new else 'Imported already:'} {record.rollback_id}; {session.environment} stands "
            f"at {adopted.stands}."
        )
        ui.show(record_view(record), {**record_document(record, outcomes), "imported": True})
        ui.next(next_for(record))


@ledger_app.command("mend")
def ledger_mend(env: Env, reason: Reason = "", json: Json = False) -> None:
    """Put back what a restored or new table has lost, from the archive."""
    with verb(env, json) as (session, _, ui):
        from rollback.actions.repair_ledger import mend
        from rollback.core.canonical import plain
        from rollback.views.rich_layout import text

        mended = mend(session, reason, ui)
        if not mended.entries:
            ui.show(text("Nothing is missing: the ledger has all that the archive has."), plain(mended))
            return
        ui.show(
            text(
                f"Put back: {mended.entries} entries of the timeline, {len(mended.releases)} releases "
                f"({', '.join(mended.releases) or 'none'})."
            ),
            plain(mended),
        )
        if mended.lost:
            ui.say(f"Records that stay lost, but for their heads: {', '.join(mended.lost[:20])}.")
        ui.next(
            f"pulumi up, which protects the table again; rollback status --env {session.environment}; aliases that "
            "a lost record moved: rollback lambda … --adopt-current"
        )
