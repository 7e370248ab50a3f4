"""The JSON documents of most verbs: what the ledger contains and what is deployed.

The same thing has the same key and shape in all of them: people are `{"person", "role"}`, times are text in ISO 8601
(UTC) under a key that ends with `_at`, versions are `from_version` and `to_version`. The schema is
`docs/output.schema.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rollback.model.advice import Advice
from rollback.model.automatic import AlarmSeen
from rollback.model.composite_plan import parts
from rollback.model.plan import Plan, plain_plan
from rollback.model.record import plain_record, resource_counts
from rollback.model.release import Freeze, another_stack, is_another_stack
from rollback.model.situation import RecordSeen, Service
from rollback.util.canonical import plain
from rollback.views.json_output import error_document

if TYPE_CHECKING:
    from rollback.queries.history import History
    from rollback.queries.record_details import RecordDetails
    from rollback.queries.recovery_options import RecoveryOption
    from rollback.queries.status import InfrastructureStatus, Overview

# -- records and plans -----------------------------------------------------------------------------------------


def record_document(seen: RecordSeen, outcomes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A record (docs/reference/records.md): `plain_record`, what is shown differently from the stored fields, and the `outcomes`
    (`Target.outcomes`), those of functions under `functions`, all others under `changes`.
    """
    found = list(outcomes)
    return {
        **plain_record(seen.record),
        **plain(seen.shown),
        "standby_expires_at": seen.record.standby_until or None,
        "resource_counts": resource_counts(seen.record),
        "functions": [_outcome(one, "function") for one in found if "service" in one],
        "changes": [_outcome(one, "name") for one in found if "service" not in one],
    }


def _outcome(outcome: Mapping[str, Any], named: str) -> dict[str, Any]:
    """One outcome, also under its names in the Python API. An outcome of `prune` has no target version."""
    renamed = {"name": named, "from": "from_version", "to": "to_version"}
    return {**{new: outcome[old] for old, new in renamed.items() if old in outcome}, **plain(outcome)}


def details_document(details: RecordDetails) -> dict[str, Any]:
    """A record as `show` writes it: with its `events`, its `chain` (`whole`, or what is wrong with it), and advice."""
    return {
        **record_document(details.seen, details.outcomes),
        "events": [
            {"created_at": event.at, "created_by": plain(event.by), **plain(event)}
            for event in details.events
        ],
        "chain": details.broken or details.chain,
        **advice_document([details.advice]),
    }


def plan_document(plan: Plan[Any]) -> dict[str, Any]:
    """A plan: its `digest`, `plain_plan`, the versions of each subject (`subjects`), and its parts, which are plans, too."""
    return {
        "digest": plan.digest(),
        **plain_plan(plan),
        "resource_counts": dict(plan.infrastructure),
        "subjects": [
            {
                "subject": _subject(name),
                "from_version": plan.leaves.get(name) or None,
                "to_version": to,
                "will_be_quarantined": name in plan.quarantines,
            }
            for name, to in plan.targets.items()
        ],
        "parts": [plan_document(part) for part in parts(plan).values()],
    }


def _subject(name: str) -> str:
    """The displayed name of a subject: a service's name; the stack and Terraform without the ledger's prefix."""
    if is_another_stack(name):
        return f"stack {another_stack([name], '')}"
    return name.removeprefix("@")


# -- what to type next -----------------------------------------------------------------------------------------


def advice_document(advice: Sequence[Advice]) -> dict[str, Any]:
    """`{"state", "next": [command], "advice": [{"state", "what", "steps": [{"command", "why", "under",
    "blocked_by_freeze"}]}]}`; `state` is the most urgent one's. `under` is the role that a step needs.
    """
    return {
        "state": str(advice[0].state),
        "next": [command for each in advice for command in each.commands],
        "advice": [
            {
                "state": str(each.state),
                "what": each.what,
                "steps": [
                    {
                        "command": step.command,
                        "why": step.why,
                        "under": step.by,
                        "blocked_by_freeze": step.barred,
                    }
                    for step in each.steps
                ],
            }
            for each in advice
        ],
    }


# -- an environment --------------------------------------------------------------------------------------------


def overview_document(view: Overview) -> dict[str, Any]:
    """An environment as `status` writes it."""
    return {
        "environment": view.environment,
        "account": view.account,
        "region": view.region,
        "deployed": view.stands,
        "frozen": freeze_document(view.frozen),
        "services": [_service(one) for one in view.services],
        "infrastructure": [_infrastructure(one) for one in view.infrastructure],
        "in_flight": [record_document(seen, ()) for seen in view.in_flight],
        "leases": [_lease(domain, item) for domain, item in view.holders.items()],
        "holders": plain(view.holders),
        "not_in_catalogue": list(view.strangers),
        "exact": view.exact,
        "recovery_options": [_option(one) for one in view.ways],
        "no_way_back": plain(view.no_way_back),
        "emergencies": list(view.emergencies),
        "warnings": list(view.warnings),
        **advice_document(view.advice),
    }


def _service(service: Service) -> dict[str, Any]:
    return {
        "service": service.name,
        "deployed": service.stands,
        "previous": service.previous,
        "quarantined_versions": list(service.quarantined),
        "mixed": dict(service.apart),
        "functions": plain(service.functions),
    }


def _infrastructure(part: InfrastructureStatus) -> dict[str, Any]:
    return {
        "kind": part.name,
        "deployed": part.stands,
        "subject": part.says,
        "quarantined_versions": list(part.quarantined),
    }


def _lease(domain: str, item: Mapping[str, Any]) -> dict[str, Any]:
    holder = item.get("holder", {})
    return {
        "domain": domain,
        "owner": str(item["owner"]),
        "held_by": {"person": str(holder.get("person", "")), "role": str(holder.get("role", ""))},
        "host": str(holder.get("host", "")),
        "pid": holder.get("pid"),
        "taken_at": item.get("taken_at"),
        "heartbeat_at": item.get("beat_at"),
        "interrupted_at": item.get("parked_at"),
    }


def _option(option: RecoveryOption) -> dict[str, Any]:
    return {
        "kind": str(option.kind),
        "to_version": option.to,
        "estimated_seconds": option.about,
        "last_seconds": option.last,
        "rto_seconds": option.rto_seconds,
        "command": option.command,
        "under": option.under,
        "login": option.login,
    }


def freeze_document(freeze: Freeze | None) -> dict[str, Any] | None:
    """Who has frozen an environment, when and why; None if it is not frozen."""
    if freeze is None:
        return None
    return {"reason": freeze.reason, "created_by": plain(freeze.by), "created_at": freeze.at}


def alarm_document(alarm: AlarmSeen) -> dict[str, Any]:
    """An alarm's current state, and its recent changes of state."""
    return {
        "name": alarm.name,
        "state": alarm.state,
        "changed_at": alarm.since,
        "reason": alarm.reason,
        "changes": [
            {"changed_at": one.at, "state": one.state, "before": one.before} for one in alarm.changes
        ],
    }


# -- releases and history --------------------------------------------------------------------------------------


def history_document(history: History) -> list[dict[str, Any]]:
    """One row per entry, each with `kind`, `id`, `created_at`, `created_by` and `status`; entries that could not be read come first."""
    return [
        *(
            {
                "kind": "malformed",
                "id": None,
                "created_at": None,
                "created_by": None,
                "status": None,
                "error": error_document(error),
                "malformed": error.what,
            }
            for error in history.broken
        ),
        *(dict(moment.document) for moment in history.moments),
    ]
