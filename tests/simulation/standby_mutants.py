"""Our own code around a way back that is on standby, broken on purpose, one guard at a time (`mutants`)."""

from __future__ import annotations

from tests.simulation.mutants import (
    Mutant,
    always,
    attribute,
    becomes,
    call,
    condition,
    gone,
    never,
    operand,
    statement,
)

_RULES, _STANDBY = "rollback.model.automatic", "rollback.model.standby"
_ANYWHERE = ("", "")

# What else decides is asked again when it is taken: a freeze, an end, another release. The table of
# tests/unit/model/test_automatic.py has these.
MUTANTS = (
    Mutant(
        "taken by an alarm though that is turned off",
        _ANYWHERE,
        "rollback.actions.automatic:policy",
        ((attribute("takes"), always),),
    ),
    Mutant(
        "taken for an alarm that is green",
        _ANYWHERE,
        f"{_RULES}:decide",
        ((attribute("state"), becomes("'ALARM'")),),
    ),
    Mutant("taken for an alarm that nobody named", _ANYWHERE, f"{_RULES}:decide", ((call("names"), always),)),
    Mutant(
        "taken for an alarm that was red when it was released",
        _ANYWHERE,
        f"{_RULES}:_judged",
        ((condition("RED_BEFORE"), never),),
    ),
    Mutant(
        "taken for an alarm that comes and goes",
        _ANYWHERE,
        f"{_RULES}:_judged",
        ((operand("_red_before"), gone),),
    ),
    Mutant(
        "taken for an alarm of unknown history",
        _ANYWHERE,
        f"{_RULES}:_judged",
        ((condition("HISTORY_UNKNOWN"), never),),
    ),
    Mutant(
        "taken for an alarm that turned red long after",
        _ANYWHERE,
        f"{_RULES}:_judged",
        ((condition("AFTER_BAKE"), never),),
    ),
    Mutant(
        "taken by an alarm in production, not approved",
        _ANYWHERE,
        f"{_RULES}:_of_red",
        ((condition("NOT_APPROVED"), never),),
    ),
    Mutant(
        "no approval asked for because it is production",
        _ANYWHERE,
        "rollback.actions.automatic:policy",
        ((operand("production"), gone),),
    ),
    Mutant("taken after its time", _ANYWHERE, f"{_STANDBY}:ended", ((condition("TIME"), never),)),
    Mutant(
        "taken by who has a clock that is past its time",
        _ANYWHERE,
        "rollback.actions.standby:respected",
        ((call("now_iso"), becomes("''")),),
    ),
    Mutant(
        "taken by a slow clock, though the ledger tells a later time",
        _ANYWHERE,
        f"{_STANDBY}:ended",
        ((statement("max"), gone),),
    ),
    Mutant(
        "taken though nobody approved it",
        _ANYWHERE,
        "rollback.actions.lifecycle:Lifecycle._approved",
        ((condition("valid_approval"), never),),
    ),
    Mutant(
        "closed by one clock alone",
        _ANYWHERE,
        "rollback.actions.standby:close_ended",
        (
            (
                call("ended"),
                becomes("standby.ended(plan, opened.record.rollback_id, timeline, now_iso(session.now()))"),
            ),
        ),
    ),
)

# Found by no schedule that is drawn, for it takes a long one: it has one of its own.
TWICE = Mutant(
    "taken twice for one release",
    _ANYWHERE,
    f"{_RULES}:_nothing_at_all",
    ((condition("TAKEN_ALREADY"), never),),
)
