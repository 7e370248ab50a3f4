"""Reads the changes of a Terraform plan from its JSON, and the resources of a state. Pure.

A plan is what `terraform show -json` prints, `{"resource_changes": [{"address", "type", "change": {"actions",
"before", "after", …}}], …}` (https://developer.hashicorp.com/terraform/internals/json-format). A state is the
JSON that Terraform stores: `{"serial", "lineage", "resources": [{"type", "name", "instances": […]}], …}`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from rollback.model import resource_changes
from rollback.model.events import failed_subjects, happened, has, typed
from rollback.model.plan import Plan
from rollback.model.record import Event
from rollback.model.resource_changes import CREATE, DELETE, REPLACE, SAME, UPDATE, ResourceChange
from rollback.targets.terraform.events import (
    ApplyEnded,
    Replanned,
    TerraformAdopted,
    TerraformChanged,
    TerraformPutBack,
    TerraformReverted,
)
from rollback.util.canonical import canonical
from rollback.util.errors import Code, RollbackError

# The step for changes of the state only: outputs, moved addresses, imports.
STATE = "state"
# The kinds of events with written resources, in execution and in undo.
CHANGED, REVERTED = TerraformChanged.kind, TerraformPutBack.kind
_OPS: Mapping[tuple[str, ...], str] = {
    ("no-op",): SAME,
    ("create",): CREATE,
    ("update",): UPDATE,
    ("delete",): DELETE,
    ("delete", "create"): REPLACE,
    ("create", "delete"): REPLACE,
    ("forget",): DELETE,
    ("create", "forget"): REPLACE,
}
# What a started change may still need: a half-done replacement needs the
# other half; a created object is updated, or created again if its creation was interrupted.
_LEFT_OF = {
    CREATE: {CREATE, UPDATE, REPLACE},
    UPDATE: {UPDATE},
    REPLACE: {REPLACE, CREATE, DELETE, UPDATE},
    DELETE: {DELETE},
}


def steps(shown: Mapping[str, Any], key: str) -> tuple[ResourceChange, ...]:
    """The changes of a plan (see the module). Their values are stored as HMACs under `key`.

    Reading data is not a change. An old object left by a replacement is a separate change.
    """
    found = [_change(one, key) for one in shown.get("resource_changes", ()) if _is_change(one)]
    bare = _state_alone(shown)
    if bare:
        found.append(ResourceChange(urn=STATE, type=STATE, op=UPDATE, properties=bare))
    return tuple(found)


def values(shown: Mapping[str, Any]) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Address → the resource's values before and after, from `terraform show -json PLAN`."""
    return {
        str(one["address"]): (one["change"].get("before") or {}, one["change"].get("after") or {})
        for one in shown.get("resource_changes", ())
        if not one.get("deposed")
    }


def counted(found: Iterable[ResourceChange]) -> dict[str, int]:
    """The number of resources per operation, like Terraform's summary, but with replacements."""
    return resource_changes.counts(change for change in found if change.type != STATE)


def drifted(shown: Mapping[str, Any]) -> list[str]:
    """The addresses that a plan (see the module) shows as changed outside Terraform since its last run.

    A moved address is not a change, and neither is a value that the provider reads back as empty where
    Terraform had none, which `terraform plan` does not show either.
    """
    return sorted(
        {
            str(one["address"])
            for one in shown.get("resource_drift") or ()
            if _filled(one["change"].get("before")) != _filled(one["change"].get("after"))
        }
    )


def _filled(value: Any) -> Any:
    """A value without its null, empty and zero parts."""
    if isinstance(value, Mapping):
        return {name: kept for name, part in value.items() if (kept := _filled(part))}
    if isinstance(value, list):
        return [kept for part in value if (kept := _filled(part))]
    return value or None


def beyond(remaining: Iterable[ResourceChange], approved: Iterable[ResourceChange]) -> list[ResourceChange]:
    """The changes in `remaining` that were not approved."""
    ops = {change.urn: change.op for change in approved if change.changes}
    return [
        change
        for change in remaining
        if change.changes
        and change.urn != STATE
        and change.op not in _LEFT_OF.get(ops.get(change.urn.partition(" (")[0], ""), set())
    ]


def moved(plan: Plan[ResourceChange], events: Iterable[Event]) -> set[str]:
    """The addresses of the changes that are done according to the journal."""
    everything = {change.urn for change in plan.changing}
    missing = {change.urn: 2 if change.op == REPLACE else 1 for change in plan.changing}
    for event in events:
        if event.kind == CHANGED:
            for item in typed(event, TerraformChanged).resources:
                missing[item.address] = missing.get(item.address, 0) - 1
        elif event.kind == Replanned.kind:
            remaining = typed(event, Replanned).remaining
            missing = {urn: int(urn in remaining) for urn in everything}
        elif event.kind == ApplyEnded.kind and typed(event, ApplyEnded).all:
            missing = dict.fromkeys(everything, 0)
        elif event.kind == TerraformReverted.kind:
            missing = dict.fromkeys(everything, 1)
    return {urn for urn in everything if missing[urn] <= 0}


def outcomes(plan: Plan[ResourceChange], events: Sequence[Event]) -> list[dict[str, Any]]:
    """One mapping per change, as `resource_changes.told` makes it."""
    done = moved(plan, events)
    back = has(events, TerraformReverted)
    begun = {item.address for one in happened(events, TerraformChanged) for item in one.resources}
    failed = failed_subjects(events)

    def outcome(change: ResourceChange) -> str:
        if change.urn in done:
            return f"{change.op}d"
        if back and change.urn in begun:
            return "reverted"
        return "failed" if change.urn in failed else "untouched"

    return [
        resource_changes.change_document(plan, change, change.urn, outcome(change))
        for change in plan.changing
    ]


def addresses(state: Mapping[str, Any]) -> dict[str, str]:
    """Address → id of every managed object in a state (see the module)."""
    found: dict[str, str] = {}
    for resource in state.get("resources", ()):
        if resource.get("mode") != "managed":
            continue
        module = f"{resource['module']}." if resource.get("module") else ""
        for instance in resource.get("instances", ()):
            index = instance.get("index_key")
            place = "" if index is None else f"[{index}]" if isinstance(index, int) else f'["{index}"]'
            if not instance.get("deposed"):
                identifier = (instance.get("attributes") or {}).get("id")
                found[f"{module}{resource['type']}.{resource['name']}{place}"] = str(identifier or "")
    return found


def lost(events: Iterable[Event], state: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Address → id of what was created and journalled as `kind`, but is not in the `state`.

    Terraform writes its state periodically: what it created just before it was killed is missing there.
    """
    known = addresses(state)
    made: dict[str, tuple[str, str]] = {}
    gone: set[str] = set()
    for event in events:
        if event.kind == TerraformAdopted.kind:
            made.pop(typed(event, TerraformAdopted).address, None)
        for item in typed(event, TerraformChanged).resources if event.kind in (CHANGED, REVERTED) else ():
            address = item.address
            if item.action == "create":
                made[address] = (event.kind, item.id)
            elif item.action == "delete":
                gone.add(address)
                # A replacement may delete the old object after creating the new one; for an undo that is intended.
                if made.get(address, (event.kind,))[0] != event.kind:
                    del made[address]
    return {
        address: identifier
        for address, (towards, identifier) in made.items()
        if towards == kind
        and identifier
        and known.get(address) != identifier
        and (address not in known or address in gone)
    }


def created(events: Iterable[Event]) -> set[str]:
    """The addresses of what this record created, and may delete again."""
    return {
        item.address
        for changed in happened(events, TerraformChanged)
        for item in changed.resources
        if item.action == "create"
    }


def _is_change(one: Mapping[str, Any]) -> bool:
    return one.get("mode") == "managed" and tuple(one["change"]["actions"]) != ("read",)


def _change(one: Mapping[str, Any], key: str) -> ResourceChange:
    change = one["change"]
    actions = tuple(change["actions"])
    op = _OPS.get(actions)
    if op is None:
        raise RollbackError(
            f"This version of the command does not know the action {'/'.join(actions)} of {one['address']}.",
            code=Code.CLIENT_OUTDATED,
        )
    before, after = change.get("before") or {}, change.get("after") or {}
    unknown = change.get("after_unknown") or {}
    masked = _masked(change.get("before_sensitive")) | _masked(change.get("after_sensitive"))
    touched = {
        name
        for name in {*before, *after, *unknown}
        if unknown.get(name) is True or (name in after and before.get(name) != after[name])
    }
    deposed = f" (deposed {one['deposed']})" if one.get("deposed") else ""
    return ResourceChange(
        urn=f"{one['address']}{deposed}",
        type=str(one["type"]),
        op=op,
        name=_name(str(one["type"]), {**after, **before}, masked),
        properties=tuple(sorted(touched)) if op in (UPDATE, REPLACE) else (),
        content=_hashed([before, after], key) if op != SAME else "",
        unknown=tuple(sorted(name for name, value in unknown.items() if value is True)) if op != SAME else (),
        retains="forget" in actions,
    )


def _name(type_: str, values: Mapping[str, Any], masked: Collection[str]) -> str:
    """The name in the account, for the guards: IAM attachments and policies have it in the id."""
    by_id = type_.startswith(("aws_iam_role_policy", "aws_iam_policy", "aws_iam_openid"))
    keys = ("id", "arn") if by_id else ("name", "bucket", "id")
    return next((str(values[key]) for key in keys if values.get(key) and key not in masked), "")


def _masked(mask: Any) -> set[str]:
    """The properties that are sensitive, or contain something sensitive."""

    def holds(value: Any) -> bool:
        if isinstance(value, Mapping):
            return any(map(holds, value.values()))
        return any(map(holds, value)) if isinstance(value, list) else value is True

    return {name for name, value in mask.items() if holds(value)} if isinstance(mask, Mapping) else set()


def _hashed(content: Any, key: str) -> str:
    return hmac.new(key.encode(), canonical(content).encode(), hashlib.sha256).hexdigest()


def _state_alone(shown: Mapping[str, Any]) -> tuple[str, ...]:
    outputs = [
        f"output {name}"
        for name, change in shown.get("output_changes", {}).items()
        if tuple(change["actions"]) != ("no-op",)
    ]
    moves = [
        f"{one['previous_address']} → {one['address']}"
        for one in shown.get("resource_changes", ())
        if one.get("previous_address", one["address"]) != one["address"]
    ]
    taken = [
        f"import {one['address']}"
        for one in shown.get("resource_changes", ())
        if one["change"].get("importing")
    ]
    return tuple(sorted(outputs) + sorted(moves) + sorted(taken))
