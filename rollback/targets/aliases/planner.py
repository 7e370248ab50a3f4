"""Plans a rollback of aliases: reads the account and the ledger, then decides. The decisions are pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rollback.aws.account import Account
from rollback.aws.functions import ASLEEP, Seen, observe, observe_alias, strangers
from rollback.config.settings import Settings
from rollback.ledger.repository import Ledger
from rollback.model import floors
from rollback.model.alias_moves import Move
from rollback.model.command_line import without_unknown
from rollback.model.deployed import apart
from rollback.model.grouping import some
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.record import DeployedVersion
from rollback.model.release import PREVIOUS, Entry, Timeline, checked_version, is_of_drill, label, previous
from rollback.model.request import AliasesRequest
from rollback.targets.aliases.recorded import Recorded, recorded
from rollback.util.errors import Code, Refused, UsageError

_NAMED = 50
_GONE = "no longer exists"


def scope(settings: Settings, request: AliasesRequest) -> tuple[tuple[str, ...], list[str]]:
    """The services of a request, and their functions without the excluded ones.

    Raises `UsageError` for a service or a function that the catalogue does not have.
    """
    services = tuple(dict.fromkeys(map(settings.service, request.services))) or tuple(settings.services)
    catalogue = settings.catalogue()
    for name in request.without:
        if name not in catalogue:
            raise UsageError(
                f"--except {name[:100]!r}: the catalogue has no such function.",
                code=Code.UNKNOWN_SERVICE,
                next=without_unknown(request, settings.environment, name, catalogue),
            )
    return services, [
        name for name, service in catalogue.items() if service in services and name not in request.without
    ]


def problem_of(target: DeployedVersion, there: Seen | None) -> str:
    """Why an alias cannot be set to the version `target`; empty if it can. `there` is what GetFunction
    returned of that version, None where it is missing. Pure.
    """
    if there is None:
        return f"version {target.version} {_GONE}"
    if there.code_sha256 != target.code_sha256:
        return f"version {target.version} has different code than was recorded"
    if there.state not in ("Active", *ASLEEP):
        return f"version {target.version} is {there.state}, not Active"
    return ""


def asleep_notice(functions: Sequence[str]) -> tuple[str, ...]:
    """The notice about Inactive target versions, which were not invoked for a long time."""
    if not functions:
        return ()
    return (
        f"These versions are Inactive; they are activated first, which can take a minute or two: {some(functions, _NAMED)}.",
    )


def make(account: Account, ledger: Ledger, request: AliasesRequest) -> tuple[Plan[Move], frozenset[str]]:
    """The plan for `request`, and the functions whose target version is Inactive.

    Raises `UsageError` for what does not exist, `Refused` for what is not allowed.
    """
    settings = account.settings
    catalogue = settings.catalogue()
    services, functions = scope(settings, request)
    timeline = ledger.timeline(verified=True)
    deployed = timeline.all_deployed
    targets, refusals = _targets(ledger, timeline, request, services)
    below = floors.below(floors.of_timeline(timeline), targets, deployed)
    if below and not request.allow_below:
        raise floors.refused(below, targets)
    manifests = {
        version: ledger.recorded_release(entry).manifest
        for version in dict.fromkeys(targets.values())
        if (entry := timeline.release_of(version))
    }
    last = recorded(ledger, timeline, functions, catalogue, damaged=request.adopt_current)
    wishes = [
        _Wish(
            function=name,
            service=catalogue[name],
            target=manifests[targets[catalogue[name]]].get(name),
            last=last.states.get(name),
            adopt_current=request.adopt_current,
        )
        for name in functions
    ]
    # The quota that this list uses is available again when aliases are updated.
    unlisted, read = account.beside(
        lambda: strangers(account, settings), lambda wish: _step(account, wish), wishes
    )
    steps: list[Move] = []
    asleep: list[str] = []
    for step, problems, sleeps in read:
        refusals.extend(problems)
        if step is not None:
            steps.append(step)
            asleep += [step.function] if sleeps else []
    if not any(step.changes for step in steps):
        steps = _with_weights(account, steps)
    leaves = {service: deployed[service] for service in services if service in deployed}
    # A damaged record of other services must not block the rollback.
    kept = [name for name in request.without if catalogue[name] in services]
    still = recorded(ledger, timeline, kept, catalogue, damaged=True).releases
    moving = {step.function for step in steps if step.changes}
    quarantines = _left_behind(timeline, _left(leaves, last, moving, catalogue), targets)
    plan = Plan(
        kind=Kind.ALIASES,
        environment=settings.environment,
        account=settings.account,
        region=settings.region,
        request=request,
        from_version=label(leaves, apart({**last.releases, **still}, catalogue, leaves)),
        to_version=label(targets, apart(still, catalogue, targets)),
        leaves=leaves,
        targets=targets,
        quarantines=quarantines,
        steps=tuple(steps),
        facts=floors.facts(below),
        notices=(
            *floors.notices(below),
            *_notices(settings, request, steps, unlisted, sorted(set(quarantines.values()))),
            *asleep_notice(asleep),
        ),
        refusals=_with_weights_noticed(ledger, refusals, steps),
    )
    return plan, frozenset(asleep)


def _targets(
    ledger: Ledger, timeline: Timeline, request: AliasesRequest, services: Sequence[str]
) -> tuple[dict[str, str], list[Refusal]]:
    """The target release of each service, and the quarantines against it."""
    quarantined = ledger.quarantines()
    if request.release == PREVIOUS:
        return previous(timeline, services, quarantined, allow_below=request.allow_below), []
    if request.release.isdigit():
        raise UsageError(
            _explain_number(ledger, timeline, request.release),
            code=Code.UNKNOWN_RELEASE,
            next=f"rollback release list --env {ledger.environment}  # then use --to V",
        )
    entry = timeline.release_of(checked_version(request.release))
    if entry is None:
        known = list(dict.fromkeys(entry.version for entry in timeline if entry.is_release))
        known = [version for version in known if not is_of_drill(version)]
        raise UsageError(
            f"No release {request.release!r} is recorded in {ledger.environment}.",
            code=Code.UNKNOWN_RELEASE,
            next=f"rollback release list --env {ledger.environment}  # recorded: {', '.join(known[:10]) or 'none'}",
        )
    missing = [service for service in services if service not in entry.services]
    if missing:
        raise Refused(
            f"Release {request.release} does not contain {', '.join(missing)}.", code=Code.RELEASE_INCOMPLETE
        )
    quarantines = {item.service: item for item in quarantined if item.version == request.release}
    quarantined_for = [service for service in services if service in quarantines]
    # Lifting it as a whole lifts no more than these where no other service has it quarantined.
    some = "" if len(quarantined_for) == len(quarantines) else f" --services {','.join(quarantined_for)}"
    refusals = [
        Refusal(
            subject=service,
            reason=f"{request.release} is quarantined: {quarantines[service].reason}",
            remedy=f'rollback release lift {request.release}{some} --env {ledger.environment} --reason "…"',
        )
        for service in quarantined_for
    ]
    return dict.fromkeys(services, request.release), refusals


def _explain_number(ledger: Ledger, timeline: Timeline, number: str) -> str:
    """The error for a bare Lambda version number: names the releases that contain it."""
    holders = []
    for entry in timeline:
        if entry.is_release:
            manifest = ledger.release(entry.id).manifest
            count = sum(deployed.version == number for deployed in manifest.values())
            if count:
                holders.append(f"{entry.version} ({count} functions)")
    held = f"It is in {', '.join(holders)}." if holders else "No recorded release contains it."
    return f"{number[:20]} is a Lambda version number, not a release. {held}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wish:
    """The target and the recorded state of one function, before the account is read."""

    function: str
    service: str
    target: DeployedVersion | None
    last: DeployedVersion | None
    adopt_current: bool


def _step(account: Account, wish: _Wish) -> tuple[Move | None, list[Refusal], bool]:
    """One function's step, its refusals, and whether its version must be activated. At most two reads, on
    GetFunction's quota.
    """
    name, alias, target, last = wish.function, account.settings.alias, wish.target, wish.last

    def refuse(reason: str, remedy: str = "") -> Refusal:
        return Refusal(subject=name, reason=reason, remedy=remedy or f"--except {name}")

    if target is None:
        return None, [refuse("the release does not contain it")], False
    now = observe(account, name, alias)
    if now is None:
        there = observe(account, name, "$LATEST")
        return None, [refuse(f"it has no alias '{alias}'" if there else "the function does not exist")], False
    there = now if now.version == target.version else observe(account, name, target.version)
    problems = [refuse(why)] if (why := problem_of(target, there)) else []
    moved = last is not None and last.version != now.version
    if moved and last is not None and not wish.adopt_current:
        problems.append(
            refuse(
                f"it was changed outside of a recorded release: version {now.version}, expected {last.version}",
                f"--adopt-current to start from the current version, or --except {name}",
            )
        )
    # Unrecorded changes, including weights, are only visible in the alias itself.
    trusted = last is not None and not moved and not wish.adopt_current
    revision, weights = (last.revision_id, last.weights) if last is not None and trusted else (None, {})
    if revision is None and not problems:
        seen = observe_alias(account, name, alias)
        if seen is None or seen.version != now.version:
            problems.append(refuse("its alias is being changed right now", "plan again"))
        else:
            revision, weights = seen.revision_id, seen.weights
    step = Move(
        function=name,
        service=wish.service,
        from_version=now.version,
        to_version=target.version,
        code_sha256=target.code_sha256,
        revision_id=revision,
        weights=weights,
        provisioned=last.provisioned if last is not None else 0,
    )
    return step, problems, there is not None and there is not now and there.state in ASLEEP


def _with_weights_noticed(
    ledger: Ledger, refusals: Sequence[Refusal], steps: Iterable[Move]
) -> tuple[Refusal, ...]:
    """Adds to refusals for deleted versions which prune deleted them, and when."""
    gone = {refusal.subject for refusal in refusals if refusal.reason.endswith(_GONE)}
    if not gone:
        return tuple(refusals)
    from rollback.ledger.deleted_versions import pruned  # noqa: PLC0415 - seldom

    by = pruned(ledger, {step.function: step.to_version for step in steps if step.function in gone})
    return tuple(
        replace(refusal, reason=f"{refusal.reason}: {by[refusal.subject]}")
        if refusal.reason.endswith(_GONE) and refusal.subject in by
        else refusal
        for refusal in refusals
    )


def _with_weights(account: Account, steps: Sequence[Move]) -> list[Move]:
    """If no version has to change, a canary's leftover weights may be the problem: reads them."""

    def look(step: Move) -> Move:
        seen = observe_alias(account, step.function, account.settings.alias)
        if seen is None or seen.version != step.from_version:
            return step
        return replace(step, revision_id=seen.revision_id, weights=seen.weights)

    return account.each(look, steps)


def _left(
    leaves: Mapping[str, str], last: Recorded, moving: Iterable[str], services: Mapping[str, str]
) -> dict[str, list[str]]:
    """Service → its replaced releases: its own first, then those of functions at other releases."""
    found = {service: [version] for service, version in leaves.items()}
    for name, version in last.apart(services, leaves).items():
        if name in moving:
            found[services[name]].append(version)
    return found


def _left_behind(
    timeline: Timeline, left: Mapping[str, Sequence[str]], targets: Mapping[str, str]
) -> dict[str, str]:
    """Service → the release to quarantine: the first one that is replaced by an older one.

    Older are releases recorded before, and those adopted without being deployed at the time: an adoption
    marks a release as older, but not as how old. In doubt the replaced release is quarantined;
    the quarantine can be lifted, and no rollback selects the release automatically.
    """
    newest: dict[str, Entry] = {}
    wanted = {version for versions in left.values() for version in versions} | set(targets.values())
    for entry in timeline:
        if entry.is_release and entry.version in wanted:
            newest.setdefault(entry.version, entry)
            if len(newest) == len(wanted):
                break

    def older(target: str, leaving: str, service: str) -> bool:
        to, away = newest.get(target), newest.get(leaving)
        if to is None or away is None:
            return to is None
        past = to.kind == "adoption" and to.stands.get(service) != target
        return past or to.seq < away.seq

    found: dict[str, str] = {}
    for service, versions in left.items():
        for version in versions:
            if version != targets[service] and older(targets[service], version, service):
                found.setdefault(service, version)
    return found


def _notices(
    settings: Settings,
    request: AliasesRequest,
    steps: Sequence[Move],
    unlisted: Sequence[str],
    left: Sequence[str],
) -> tuple[str, ...]:
    notices = [f"Will be quarantined: {some(left, _NAMED)}."] if left else []
    if request.without:
        notices.append(f"Excluded: {some(request.without, _NAMED)}.")
    if request.adopt_current:
        notices.append("Starts from the current aliases, including unrecorded changes.")
    warm = [step.function for step in steps if step.provisioned and step.from_version != step.to_version]
    if warm:
        notices.append(f"Waits for the provisioned concurrency of: {some(warm, _NAMED)}.")
    weighted = [step.function for step in steps if step.weights]
    if weighted:
        notices.append(f"Traffic weights are removed from: {some(weighted, _NAMED)}.")
    if unlisted:
        notices.append(f"Ignored, not in the catalogue of {settings.environment}: {some(unlisted, _NAMED)}.")
    return tuple(notices)
