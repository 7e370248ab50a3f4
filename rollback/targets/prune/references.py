"""Which versions of functions are still needed by the ledger, its archive or a caller, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollback.aws.account import Account, explained
from rollback.ledger.audit_bucket import NotDeclared
from rollback.ledger.repository import Ledger
from rollback.model.alias_moves import Move
from rollback.model.composite_plan import Piece, parts
from rollback.model.kind import Kind
from rollback.model.plan import Plan
from rollback.model.record import UNFINISHED, DeployedVersion, Status
from rollback.model.release import OPENED, Entry, Timeline
from rollback.model.retention import ARCHIVED, INVOKED, needed_releases
from rollback.util.errors import RollbackError


@dataclass(kw_only=True)
class Needs:
    """The needed versions: function → version → reasons. `newest` maps each function to its
    version in the newest recorded release that contains it.
    """

    newest: dict[str, int] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    _needed: dict[str, dict[int, list[str]]] = field(default_factory=dict)

    def of(self, function: str) -> Mapping[int, list[str]]:
        return self._needed.get(function, {})

    def needs(self, function: str, version: str) -> bool:
        return version.isdigit() and int(version) in self.of(function)

    def add(self, function: str, version: str, why: str) -> None:
        if version.isdigit():
            reasons = self._needed.setdefault(function, {}).setdefault(int(version), [])
            if why not in reasons:
                reasons.append(why)


def needs(account: Account, ledger: Ledger, keep: int) -> Needs:
    """The versions needed by the newest `keep` releases of each service, quarantines, unfinished records and the archive.
    Raises `RollbackError` where one of them cannot be read: in doubt nothing is deleted.
    """
    found = Needs()
    timeline = ledger.timeline(verified=True)
    _releases(found, account, ledger, timeline, keep)
    for name, moves in _unfinished(found, ledger, timeline):
        for step in moves:
            for version in (step.from_version, step.to_version, *step.weights):
                found.add(step.function, version, f"record {name}")
    for function, deployed in _last_kept(found, ledger).items():
        if not found.needs(function, deployed.version):
            found.add(function, deployed.version, ARCHIVED)
    _invoked(found, account)
    return found


def _invoked(found: Needs, account: Account) -> None:
    """Adds versions that were invoked by their number, or through an alias's weights, by anybody.

    CloudWatch lists the metrics that had data within two weeks
    (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html), and Lambda's name the
    version (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html). A caller who may not read them gets
    a notice that this is not known.
    """
    asked = {"Namespace": "AWS/Lambda", "MetricName": "Invocations", "Dimensions": [{"Name": "Resource"}]}
    try:
        with explained("listing the metrics of invocations"):
            pages = list(account.client("cloudwatch").get_paginator("list_metrics").paginate(**asked))
    except RollbackError as error:
        found.notices.append(
            f"Recent invocations of versions could not be read from CloudWatch: {error.what}"
        )
        return
    for metric in (metric for page in pages for metric in page["Metrics"]):
        dimensions = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
        function, _, qualifier = dimensions["Resource"].partition(":")
        found.add(function, dimensions.get("ExecutedVersion", qualifier), INVOKED)


def _releases(found: Needs, account: Account, ledger: Ledger, timeline: Timeline, keep: int) -> None:
    services = account.settings.services
    needed = needed_releases(timeline, services, ledger.quarantines(), keep)
    versions = {version for of_service in needed.values() for version in of_service}
    # The newest record of each needed release, and the newest of all.
    entries: dict[str, Entry] = {}
    for entry in timeline:
        if entry.is_release and (not entries or entry.version in versions):
            entries.setdefault(entry.version, entry)
    manifests = {version: ledger.recorded_release(entry).manifest for version, entry in entries.items()}
    for service in services:
        for function in account.settings.functions(service):
            # Newest first, as the timeline is.
            held = [manifest[function] for manifest in manifests.values() if function in manifest]
            if held and held[0].version.isdigit():
                found.newest[function] = int(held[0].version)
            for version, why in needed[service].items():
                deployed = manifests.get(version, {}).get(function)
                if deployed is not None:
                    found.add(function, deployed.version, why)


def _unfinished(found: Needs, ledger: Ledger, timeline: Timeline) -> Iterable[tuple[str, tuple[Move, ...]]]:
    """Every record that can still be resumed or undone, with its alias changes."""
    ends: dict[str, str] = {}
    for entry in timeline:
        if entry.kind in (OPENED, "rollback"):
            ends.setdefault(entry.id, entry.status)
    for name in (name for name, status in ends.items() if status in UNFINISHED):
        opened = ledger.load(name)
        try:
            if opened.record.kind == Kind.FULL:
                part = parts(opened.plan(Piece)).get(Kind.ALIASES)
                yield name, () if part is None else part.steps
            elif opened.record.kind == Kind.ALIASES:
                plan: Plan[Any] = opened.plan(Move)
                yield name, plan.steps
        except RollbackError as error:
            if opened.record.status is not Status.FAILED:
                raise
            # It can no longer be resumed or undone.
            found.notices.append(
                f"{name} can no longer be resumed, so its versions are not kept: {error.what}"
            )


def _last_kept(found: Needs, ledger: Ledger) -> Mapping[str, DeployedVersion]:
    """The newest manifest in the archive, which an emergency rollback needs."""
    if ledger.archive is None:
        return {}
    try:
        newest = next(ledger.archive.releases(), None)
    except NotDeclared as missing:
        found.notices.append(missing.what)
        return {}
    return newest.manifest if newest is not None else {}
