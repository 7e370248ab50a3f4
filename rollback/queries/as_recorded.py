"""`rollback verify`: whether aliases and the parameter are as the ledger has them, at releases that may be deployed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollback.aws.account import explained
from rollback.aws.functions import alias_differs, all_at, observe
from rollback.lifecycle.context import Session
from rollback.model.deployed import known
from rollback.model.grouping import together
from rollback.model.record import Check
from rollback.model.release import Quarantine, label
from rollback.targets.aliases.recorded import Recorded, recorded


def check(session: Session) -> list[Check]:
    """Checks every alias and the parameter against the ledger. The details name the differences."""
    settings = session.settings
    catalogue = settings.catalogue()
    timeline = session.ledger.timeline()
    last = recorded(session.ledger, timeline, catalogue, catalogue)

    def judged(name: str) -> tuple[str, str]:
        expected, gone = last.states.get(name), f"no alias '{settings.alias}'"
        if expected is None:
            seen = observe(session.account, name, settings.alias)
            return name, gone if seen is None else "no recorded release contains it"
        why = alias_differs(
            session.account,
            name,
            expected.version,
            expected.code_sha256
            or None,  # empty for aliases that a rollback restored: their code is not recorded
            expected.weights,
            gone=gone,
            otherwise="expected",
        )
        return name, why

    aliases = all_at(session.account.each(judged, catalogue), "are as recorded")
    if not timeline.all_deployed:
        return [aliases]
    others = last.apart(catalogue, timeline.all_deployed)
    releases = _releases(last, catalogue, others, session.ledger.quarantines())
    return [aliases, releases, _parameter(session, label(timeline.all_deployed, others))]


def _releases(
    last: Recorded,
    services: Mapping[str, str],
    others: Mapping[str, str],
    quarantines: Sequence[Quarantine],
) -> Check:
    """Checks that no function is at a quarantined release. The details name those, and functions at another release than their service. Pure."""
    quarantined = {(item.service, item.version) for item in quarantines}
    found = known(last.releases)
    wrong = [
        (name, f"{version} is quarantined")
        for name, version in found.items()
        if (services[name], version) in quarantined
    ]
    mixed = [
        (name, f"{services[name]} is mixed, this function is at {version}")
        for name, version in others.items()
    ]
    detail = f"{len(found) - len(wrong)} of {len(found)} functions are at releases that are not quarantined"
    return Check(
        check="releases",
        ok=not wrong,
        detail="; ".join([detail, *together(wrong)[:10], *together(mixed)[:10]]),
    )


def _parameter(session: Session, deployed: str) -> Check:
    """Checks that the SSM parameter equals what is deployed. Parameters have no conditional write: the last writer wins."""
    name = session.settings.names.deployed_version
    with explained(f"reading the parameter {name}"):
        value = session.account.ssm.get_parameter(Name=name)["Parameter"].get("Value", "")
    what = f"it is {value}" + ("" if value == deployed else f", expected {deployed}")
    return Check(check="parameter", ok=value == deployed, detail=what)
