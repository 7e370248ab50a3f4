"""`python -m tools.output_schema`: checks that `docs/output.schema.json` describes every command's `-o json`.

`--write` updates the file; without it, exit 1 reports a difference. Dataclasses of the product are described by their
fields; the rest is written here. Tests validate every command's documents against it (`tests/outputs.py`), and it
allows no other key: so it cannot differ from the code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from localaws.paths import ROOT
from rollback.api.results import NOTHING_TO_DO
from rollback.emergency.repair_ledger import Mended
from rollback.engines.pulumi.update_history import Update
from rollback.guard.api import GuardState
from rollback.model.alias_moves import Move
from rollback.model.bypass import Bypass
from rollback.model.composite_plan import Piece
from rollback.model.drill import Drill
from rollback.model.kind import Kind
from rollback.model.plan import Refusal
from rollback.model.record import Check, Event, Record, Status
from rollback.model.release import Release
from rollback.model.request import StoredRequest
from rollback.model.resource_changes import ResourceChange
from rollback.model.retention import Doomed
from rollback.model.situation import FunctionStatus, State
from rollback.queries.audit import Audited
from rollback.queries.recovery_options import NoWayBack
from rollback.readiness.rules import CheckAnswer
from rollback.setup.adoption.import_ids import ImportState
from rollback.targets.table.steps import TableStep
from rollback.util.errors import Code
from rollback.views.json_output import SCHEMA_VERSION

FILE = ROOT / "docs" / "output.schema.json"
Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
YES: Schema = {"type": "boolean"}
ANY: Schema = {}
TIME: Schema = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$",
    "description": "ISO 8601 in UTC, to the second",
}
# What an event's hash is over.
EXACT_TIME: Schema = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
    "description": "ISO 8601 in UTC, to the millisecond",
}
_DEFS: dict[str, Schema] = {}


# -- how a schema is written -----------------------------------------------------------------------------------


def named(name: str, schema: Schema) -> Schema:
    """A reference to a schema, which is written once. Raises `ValueError` if two have the same name."""
    if _DEFS.setdefault(name, schema) != schema:
        raise ValueError(name)
    return {"$ref": f"#/$defs/{name}"}


def many(items: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": items}


def by_name(values: Schema) -> Schema:
    """An object whose keys are names of something."""
    return {"type": "object", "additionalProperties": values}


def or_null(schema: Schema) -> Schema:
    """The same, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def one_of(values: Iterable[Any]) -> Schema:
    """One of these texts."""
    return {"enum": [str(value) for value in values]}


def either(*schemas: Schema) -> Schema:
    """One of several shapes."""
    return {"anyOf": list(schemas)}


def old(schema: Schema, now: str) -> Schema:
    """A renamed key, which the next version removes."""
    return {**schema, "deprecated": True, "description": f"Called {now} now."}


def what(*parts: Mapping[str, Schema], maybe: Sequence[str] = (), **keys: Schema) -> Schema:
    """An object with exactly these keys, of which those in `maybe` are optional. A key that is a Python keyword ends
    with _.
    """
    properties = {name: one for part in parts for name, one in part.items()}
    properties |= {name.rstrip("_"): one for name, one in keys.items()}
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(set(properties) - set(maybe)),
        "additionalProperties": False,
    }


def fields(kind: type[Any], *without: str) -> dict[str, Schema]:
    """A dataclass's fields as keys, as `canonical.plain` writes them."""
    made = TypeAdapter(kind).json_schema(mode="serialization", ref_template="#/$defs/{model}")
    for name, schema in made.get("$defs", {}).items():
        if name != "Actor":
            named(name, _closed(schema))
    return {
        name: _time(name, _plain(schema))
        for name, schema in made["properties"].items()
        if name not in without
    }


def _closed(schema: Schema) -> Schema:
    """A dataclass within another. Without pydantic's titles and defaults, which do not help readers."""
    if "properties" not in schema:
        return {key: value for key, value in schema.items() if key not in ("title", "description")}
    return what({name: _time(name, _plain(one)) for name, one in schema["properties"].items()})


def _plain(schema: Any) -> Any:
    if schema == {"$ref": "#/$defs/Actor"}:
        return PERSON
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if key not in ("title", "default")}
    return [_plain(one) for one in schema] if isinstance(schema, list) else schema


def _time(name: str, schema: Schema) -> Schema:
    if not name.endswith("_at") and name != "at":
        return schema
    time = named("Time", TIME)
    return or_null(time) if "anyOf" in schema else time


# -- what is the same in all of them ---------------------------------------------------------------------------

PERSON = named("Person", what(person=TEXT, role=TEXT))
MOMENT = named("Time", TIME)
# A program's name in lower case with arguments, variables before it; no comment, and no sentence.
_COMMAND: Schema = {"type": "string", "pattern": r"^([A-Z][A-Z0-9_]*=\S+ )*[a-z]+ \S((?!  # ).)*$"}
COMMANDS: Schema = {
    "type": "array",
    "items": named("Command", _COMMAND),
    "description": "What to type next, a command each",
}
ERROR = named(
    "Error",
    what(code=one_of(Code), message=TEXT, changed=TEXT, next=COMMANDS, hint=TEXT, exit_code=WHOLE),
)
FRAME: dict[str, Schema] = {"schema_version": {"const": SCHEMA_VERSION}, "next": COMMANDS}


def answer(*parts: Mapping[str, Schema], maybe: Sequence[str] = (), **keys: Schema) -> Schema:
    """A whole document. It may have an error beside its content."""
    return what(FRAME, *parts, {"error": ERROR}, maybe=[*maybe, "error"], **keys)


def rows(*kinds: Schema) -> Schema:
    """A list of rows, each of one of these kinds."""
    return many(kinds[0] if len(kinds) == 1 else either(*kinds))


def row(*parts: Mapping[str, Schema], maybe: Sequence[str] = (), **keys: Schema) -> Schema:
    """A row of a list."""
    return what({"schema_version": {"const": SCHEMA_VERSION}}, *parts, maybe=maybe, **keys)


# -- records and plans -----------------------------------------------------------------------------------------

STATUSES = one_of([*Status, State.AWAITING_CONFIRMATION])
CHECK = named("Check", what(fields(Check)))
ENTRY: dict[str, Schema] = {"id": TEXT, "created_at": MOMENT, "created_by": PERSON}
COUNTS: Schema = by_name(WHOLE)
# What the steps of a plan came to; `docs/json.md` says the same. Records of earlier versions do not have all of them.
STEPS_COUNTED = named(
    "StepCounts",
    by_name(WHOLE)
    | {
        "properties": {
            name: {**WHOLE, "description": means}
            for name, means in (
                ("planned", "All steps of the plan"),
                ("moved", "Changed, and still so; for prune, deleted"),
                ("confirmed", "Already at the target; for prune, in use and therefore kept"),
                ("failed", "Failed, or changed by somebody else since"),
                ("reverted", "Changed, then changed back"),
                ("untouched", "Where they were before: not reached, or found so while reverting"),
            )
        }
    },
)
RECORD: dict[str, Schema] = {
    **fields(Record, "domains", "events", "head", "schema", "without"),
    "kind": one_of(Kind),
    "status": STATUSES,
    "counts": STEPS_COUNTED,
    "except": many(TEXT),
    "standby_expires_at": or_null(MOMENT),
    "resource_counts": COUNTS,
    "infrastructure": old(COUNTS, "resource_counts"),
    "standby_until": old(TEXT, "standby_expires_at"),
}
_FROM_TO: dict[str, Schema] = {
    "from_version": TEXT,
    "to_version": TEXT,
    "from": old(TEXT, "from_version"),
    "to": old(TEXT, "to_version"),
}
_FUNCTION: dict[str, Schema] = {
    "function": TEXT,
    "service": TEXT,
    "name": old(TEXT, "function"),
    "part": TEXT,
}
OUTCOMES: dict[str, Schema] = {
    "functions": many(
        named(
            "FunctionOutcome",
            either(
                what(
                    _FUNCTION,
                    _FROM_TO,
                    {"outcome": one_of(["moved", "confirmed", "reverted", "failed", "untouched"])},
                    maybe=["part"],
                ),
                what(
                    _FUNCTION,
                    planned=many(WHOLE),
                    deleted=many(WHOLE),
                    kept=by_name(TEXT),
                    maybe=["part"],
                ),
            ),
        )
    ),
    "changes": many(
        named(
            "ChangeOutcome",
            what(
                {"name": TEXT},
                _FROM_TO,
                part=TEXT,
                outcome=TEXT,
                urn=TEXT,
                type=TEXT,
                op=TEXT,
                properties=many(TEXT),
                maybe=["part", "urn", "type", "op", "properties"],
            ),
        )
    ),
}
SHOWN = {**RECORD, **OUTCOMES}
JOURNAL: dict[str, Schema] = {"journal": TEXT, "imported": YES}
NOTHING = named("NothingToDo", answer(status={"const": NOTHING_TO_DO}))
ERROR_ALONE = named("ErrorAlone", what(FRAME, error=ERROR))


def step(kind: type[Any]) -> Schema:
    """One kind of a plan's steps."""
    return named(kind.__name__, what(fields(kind)))


PLAN: dict[str, Schema] = {
    "digest": TEXT,
    "kind": one_of(Kind),
    "environment": TEXT,
    "account": TEXT,
    "region": TEXT,
    "request": named("Request", what(fields(StoredRequest), maybe=["allow_below"])),
    "from_version": TEXT,
    "to_version": TEXT,
    "subjects": many(
        named(
            "Subject",
            what(subject=TEXT, from_version=or_null(TEXT), to_version=TEXT, will_be_quarantined=YES),
        )
    ),
    "leaves": old(by_name(TEXT), "subjects"),
    "targets": old(by_name(TEXT), "subjects"),
    "quarantines": old(by_name(TEXT), "subjects"),
    "steps": many(either(*map(step, (Move, ResourceChange, Doomed, TableStep, Piece)))),
    "facts": by_name(TEXT),
    "resource_counts": COUNTS,
    "infrastructure": old(COUNTS, "resource_counts"),
    "notices": many(TEXT),
    "refusals": many(named("Refusal", what(fields(Refusal)))),
}
_DEFS["Plan"] = what(PLAN, parts=many({"$ref": "#/$defs/Plan"}))
PREVIEW = named("Preview", answer(PLAN, parts=many({"$ref": "#/$defs/Plan"})))
RECORDED = named("Rollback", answer(SHOWN))
ROLLBACK = either(RECORDED, NOTHING, PREVIEW, ERROR_ALONE)
GOING_ON = either(RECORDED, NOTHING, ERROR_ALONE)

# -- what to type next -----------------------------------------------------------------------------------------

ADVICE: dict[str, Schema] = {
    "state": one_of(State),
    "advice": many(
        named(
            "Advice",
            what(
                state=one_of(State),
                what=TEXT,
                steps=many(
                    what(
                        command=TEXT,
                        why=TEXT,
                        under=TEXT,
                        blocked_by_freeze=YES,
                    )
                ),
            ),
        )
    ),
}

# -- an environment --------------------------------------------------------------------------------------------

FROZEN = or_null(named("Freeze", what(reason=TEXT, created_by=PERSON, created_at=MOMENT)))
_OLD_FREEZE: dict[str, Schema] = {
    "reason": old(TEXT, "frozen.reason"),
    "by": old(PERSON, "frozen.created_by"),
    "at": old(MOMENT, "frozen.created_at"),
}
_OPTION = named(
    "RecoveryOption",
    what(
        kind=TEXT,
        to_version=TEXT,
        estimated_seconds=or_null(NUMBER),
        last_seconds=or_null(NUMBER),
        rto_seconds=WHOLE,
        command=TEXT,
        under=TEXT,
        login=TEXT,
    ),
)
_SERVICE = named(
    "Service",
    what(
        service=TEXT,
        deployed=or_null(TEXT),
        previous=or_null(TEXT),
        quarantined_versions=many(TEXT),
        mixed=by_name(TEXT),
        functions=many(named("Function", what(fields(FunctionStatus)))),
    ),
)
_INFRASTRUCTURE = what(
    kind=TEXT,
    deployed=or_null(TEXT),
    subject=TEXT,
    quarantined_versions=many(TEXT),
)
_LEASE = named(
    "Lease",
    what(
        domain=TEXT,
        owner=TEXT,
        held_by=PERSON,
        host=TEXT,
        pid=or_null(WHOLE),
        taken_at=or_null(MOMENT),
        heartbeat_at=or_null(MOMENT),
        interrupted_at=or_null(MOMENT),
    ),
)
STATUS = answer(
    ADVICE,
    environment=TEXT,
    account=TEXT,
    region=TEXT,
    deployed=TEXT,
    frozen=FROZEN,
    services=many(_SERVICE),
    infrastructure=many(_INFRASTRUCTURE),
    in_flight=many(named("Record", what(SHOWN))),
    leases=many(_LEASE),
    not_in_catalogue=many(TEXT),
    exact=YES,
    recovery_options=many(_OPTION),
    no_way_back=many(what(fields(NoWayBack))),
    emergencies=many(TEXT),
    warnings=many(TEXT),
    holders=old(by_name(ANY), "leases"),
)
# A line of `status --watch`.
CHANGE = named("StatusChange", row(changed_at=MOMENT, subject=TEXT, what=TEXT))
MAY_DEPLOY = answer(environment=TEXT, commit=TEXT, quarantined={"const": False})
TRAFFIC: dict[str, Schema] = {
    "bypasses": many(named("Bypass", what(fields(Bypass)))),
    "not_checked": many(TEXT),
    "not_looked_at": old(many(TEXT), "not_checked"),
}
VERIFIED = answer(TRAFFIC, environment=TEXT, verification=many(CHECK))

# -- releases and history --------------------------------------------------------------------------------------

RELEASE = {
    **fields(Release, "manifest"),
    "function_count": WHOLE,
    "functions": old(WHOLE, "function_count"),
}
DRILL = {
    **fields(Drill, "stood", "seq", "schema"),
    **ENTRY,
    "kind": {"const": "drill"},
    "by": old(PERSON, "created_by"),
    "elapsed_seconds": or_null(NUMBER),
    "seconds": old(or_null(NUMBER), "elapsed_seconds"),
    "passed": YES,
}
UPDATE: dict[str, Schema] = {
    **fields(Update),
    **ENTRY,
    "number": WHOLE,
    "resource_counts": COUNTS,
    "changes": old(COUNTS, "resource_counts"),
    "ended_at": or_null(MOMENT),
    "status": TEXT,
    "is_deployed": YES,
    "at": old(TEXT, "created_at"),
    "ended": old(TEXT, "ended_at"),
    "who": old(TEXT, "created_by"),
    "result": old(TEXT, "status"),
    "stands": old(YES, "is_deployed"),
}
_MALFORMED = {
    "kind": {"const": "malformed"},
    "id": {"type": "null"},
    "created_at": {"type": "null"},
    "created_by": {"type": "null"},
    "status": {"type": "null"},
    "error": ERROR,
    "malformed": old(TEXT, "error.message"),
}
HISTORY = rows(
    row(ENTRY, RELEASE, kind=one_of(["release", "adoption"]), is_deployed=YES, maybe=["not_below"]),
    row(ENTRY, RECORD),
    row(DRILL, drill={"const": True}),
    row(UPDATE),
    row(_MALFORMED),
)
SHOW = either(
    answer(
        SHOWN,
        ADVICE,
        events=many(
            named(
                "Event",
                what(
                    fields(Event),
                    created_at=named("ExactTime", EXACT_TIME),
                    created_by=PERSON,
                    at=old(named("ExactTime", EXACT_TIME), "created_at"),
                    by=old(PERSON, "created_by"),
                ),
            )
        ),
        chain=TEXT,
    ),
    answer(DRILL, drill={"const": True}),
    answer(UPDATE),
    ERROR_ALONE,
)
LISTED = row(
    ENTRY,
    kind=one_of(["release", "adoption"]),
    seq=WHOLE,
    version=TEXT,
    commit=TEXT,
    services=many(TEXT),
    deployed_for=many(TEXT),
    quarantined_for=many(TEXT),
    not_below=TEXT,
    by=old(TEXT, "created_by"),
)
RELEASED = answer(
    RELEASE,
    deployed=TEXT,
    new=YES,
    standby=either(
        named("Record", what(SHOWN)),
        what(status={"const": NOTHING_TO_DO}),
        what(error=ERROR, code=old(TEXT, "error.code"), message=old(TEXT, "error.message")),
    ),
    maybe=["not_below", "standby"],
)
QUARANTINED = answer(environment=TEXT, version=TEXT, services=many(TEXT), quarantined=YES, reason=TEXT)
DIFF = answer(
    environment=TEXT,
    before=TEXT,
    after=TEXT,
    from_version=or_null(TEXT),
    to_version=or_null(TEXT),
    unchanged=WHOLE,
    functions=many(
        what(
            service=TEXT,
            function=TEXT,
            from_version=or_null(TEXT),
            to_version=or_null(TEXT),
            code_differs=YES,
            from_code_sha256=or_null(TEXT),
            to_code_sha256=or_null(TEXT),
        )
    ),
    commits=many(
        what(
            kind=TEXT,
            from_commit=TEXT,
            to_commit=TEXT,
            forwards=YES,
            commits=many(what(commit=TEXT, subject=TEXT)),
        )
    ),
)
_AUDITED = fields(Audited)
AUDIT = answer(
    _AUDITED,
    quarantines=WHOLE,
    not_archived=many(TEXT),
    archived_now=WHOLE,
    archive_declared=YES,
    archive_unread=TEXT,
    trail=one_of(["whole", "broken"]),
    bars=old(WHOLE, "quarantines"),
    unkept=old(many(TEXT), "not_archived"),
    put=old(WHOLE, "archived_now"),
    declared=old(YES, "archive_declared"),
    unread=old(TEXT, "archive_unread"),
)

# -- the others ------------------------------------------------------------------------------------------------

CAN = answer(
    environment=TEXT,
    commit=TEXT,
    reversible=YES,
    findings=many(
        what(
            check=TEXT,
            subject=TEXT,
            answer=one_of(one.value for one in CheckAnswer),
            against=YES,
            why=TEXT,
            next=COMMANDS,
            hint=TEXT,
        )
    ),
)
DRILLS = rows(
    row(DRILL),
    row(
        scenario=TEXT,
        rto_seconds=WHOLE,
        last=or_null(what(DRILL)),
        planned_at=or_null(MOMENT),
    ),
)
ADOPT = answer(
    environment=TEXT,
    account=TEXT,
    status=one_of(["REFUSED", "NOTHING_TO_ADOPT", "TO_ADOPT"]),
    resources=many(
        what(
            urn=TEXT,
            type=TEXT,
            id=or_null(TEXT),
            state=one_of(ImportState),
            properties=many(TEXT),
            then=TEXT,
        )
    ),
    held_by_terraform=many(TEXT),
    files=many(TEXT),
    import_={"type": "object", "description": "What `pulumi import --file` takes"},
    commands=old(many(TEXT), "next"),
)
INIT = answer(
    environment=TEXT,
    account=TEXT,
    region=TEXT,
    prefix=TEXT,
    alias=TEXT,
    settings={"type": "object", "description": "docs/settings.md"},
    notes=many(TEXT),
    traffic=what(TRAFFIC),
    files=many(what(path=TEXT, change=TEXT)),
    written=YES,
)
ACCEPTANCE = either(
    answer(
        run=TEXT,
        environment=TEXT,
        account=TEXT,
        region=TEXT,
        endpoint=TEXT,
        facts=many(
            what(
                name=TEXT,
                says=TEXT,
                why=TEXT,
                source=TEXT,
                outcome=one_of(["holds", "does-not-hold", "not-tried"]),
                because=or_null(one_of(["skipped", "denied", "failed"])),
                detail=TEXT,
                elapsed_seconds=NUMBER,
            )
        ),
        counts=what({"holds": WHOLE, "does-not-hold": WHOLE, "not-tried": WHOLE}),
        removed=many(TEXT),
        left=many(what(resource=TEXT, why=TEXT, commands=many(TEXT))),
    ),
    answer(
        environment=TEXT,
        account=TEXT,
        region=TEXT,
        makes=many(what(kind=TEXT, name=TEXT)),
        policy={"type": "object", "description": "A policy of IAM"},
    ),
    ERROR_ALONE,
)
LOGIN = answer(
    environment=TEXT,
    caller=PERSON,
    role_arn=TEXT,
    expires_at=MOMENT,
    profile=many(TEXT),
    role=old(TEXT, "role_arn"),
    person=old(TEXT, "caller.person"),
    expires=old(MOMENT, "expires_at"),
)
SYNC = answer(
    environment=TEXT,
    new=by_name(by_name(TEXT)),
    gone=by_name(by_name(TEXT)),
    renamed=many(
        what(
            service=TEXT,
            entry=TEXT,
            from_function=TEXT,
            to_function=TEXT,
        )
    ),
    without_alias=many(TEXT),
    elsewhere=many(TEXT),
    unlisted=many(TEXT),
    notes=many(TEXT),
    diff=TEXT,
    written=YES,
)
WATCH = either(
    answer(
        environment=TEXT,
        version=TEXT,
        minutes=WHOLE,
        alarms=many(
            what(
                name=TEXT,
                state=TEXT,
                changed_at=MOMENT,
                reason=TEXT,
                changes=many(what(changed_at=MOMENT, state=TEXT, before=TEXT)),
            )
        ),
        decision=TEXT,
        why=TEXT,
        healthy={"const": True},
    ),
    RECORDED,
    ERROR_ALONE,
)
GUARD_STATUS = answer(
    fields(GuardState, "code", "next"),
    environment=TEXT,
    ok=YES,
    alarms=many(what(name=TEXT, state=TEXT)),
    declined=many(what(created_at=MOMENT, why=TEXT)),
)
GUARD_TEST = answer(
    environment=TEXT,
    alarm=TEXT,
    decision=TEXT,
    why=TEXT,
    holds=or_null(what(id=TEXT, refusals=many(TEXT))),
    reported=YES,
    report=TEXT,
    problems=many(TEXT),
    acts=YES,
    missed=WHOLE,
    maybe=["report"],
)

# The schema of each command's document, without commands that only return errors.
ANSWERS: dict[str, Schema] = {
    "lambda": either(
        RECORDED,
        answer(SHOWN, JOURNAL),
        NOTHING,
        PREVIEW,
        answer(environment=TEXT, digest=TEXT, commands=many(TEXT)),
        ERROR_ALONE,
    ),
    "stack": ROLLBACK,
    "terraform": ROLLBACK,
    "table": ROLLBACK,
    "full": ROLLBACK,
    "report": answer(environment=TEXT, path=TEXT, moments=WHOLE),
    "freeze": answer(_OLD_FREEZE, environment=TEXT, frozen=FROZEN),
    "unfreeze": answer(_OLD_FREEZE, environment=TEXT, frozen={"type": "null"}, lifted=FROZEN),
    "prune": ROLLBACK,
    "audit": AUDIT,
    "drill": DRILLS,
    "adopt": ADOPT,
    "init": INIT,
    "acceptance": ACCEPTANCE,
    "login": LOGIN,
    "logout": answer(environment=TEXT, forgotten=many(TEXT)),
    "can": CAN,
    "approve": answer(environment=TEXT, rollback_id=TEXT, digest=TEXT, approved_by=PERSON),
    "apply": GOING_ON,
    "resume": GOING_ON,
    "abort": GOING_ON,
    "watch": WATCH,
    "verify": either(VERIFIED, RECORDED, ERROR_ALONE),
    "status": either(STATUS, MAY_DEPLOY, CHANGE, ERROR_ALONE),
    "diff": DIFF,
    "history": HISTORY,
    "show": SHOW,
    "release record": RELEASED,
    "release adopt": RELEASED,
    "release list": rows(LISTED),
    "release quarantine": QUARANTINED,
    "release lift": QUARANTINED,
    "standby prepare": GOING_ON,
    "standby take": GOING_ON,
    "catalogue sync": SYNC,
    "guard build": answer(environment=TEXT, package=TEXT, runtime=TEXT, bytes=WHOLE),
    "guard status": GUARD_STATUS,
    "guard test": GUARD_TEST,
    "foundation split": answer(environment=TEXT, forgotten=many(TEXT), dry_run=YES),
    "ledger import": answer(SHOWN, imported={"const": True}),
    "ledger mend": answer(fields(Mended), environment=TEXT),
    "tools install": answer(pulumi=what(version=TEXT, path=TEXT)),
}


def name_of(verb: str) -> str:
    """The name of a command's schema in the definitions."""
    return f"rollback-{verb.replace(' ', '-')}"


def schema() -> Schema:
    """The whole file."""
    verbs = {
        name_of(verb): either(found, ERROR_ALONE) if ERROR_ALONE not in found.get("anyOf", ()) else found
        for verb, found in ANSWERS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:rollback-cli:output:{SCHEMA_VERSION}",
        "title": f"What `rollback VERB -o json` answers, version {SCHEMA_VERSION}: $defs has one for each verb",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in verbs],
        "$defs": {**verbs, **_referred(verbs)},
    }


def _referred(verbs: Mapping[str, Schema]) -> dict[str, Schema]:
    """The definitions to which the commands refer, directly or indirectly."""
    found: dict[str, Schema] = {}
    text = json.dumps(verbs)
    while more := {
        name: one for name, one in _DEFS.items() if name not in found and f'"#/$defs/{name}"' in text
    }:
        found |= more
        text = json.dumps(more)
    return dict(sorted(found.items()))


def text() -> str:
    """The file's text."""
    return json.dumps(schema(), indent=1) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 up to date (or written), 1 not."""
    if "--write" in (sys.argv[1:] if arguments is None else arguments):
        FILE.write_text(text(), encoding="utf-8")
        return 0
    if FILE.is_file() and FILE.read_text(encoding="utf-8") == text():
        return 0
    print(
        f"{FILE.name} does not match the commands' output. Run: python -m tools.output_schema --write",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
