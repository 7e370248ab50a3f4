"""Gathers the facts for `rules`: from the account, the engines' previews and GitHub. Reads only.

The checks are independent: a failure of one is reported, and the others continue. The engines
preview the commit's program against what is deployed, like a rollback's plan.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path

from botocore.exceptions import ClientError

from rollback.aws import point_in_time, stacks
from rollback.aws.account import code
from rollback.config.naming import APPROVER, DEPLOYER, DRILL, ROLLBACK
from rollback.engines import git
from rollback.engines import terraform as terraform_tool
from rollback.engines.git import Commit
from rollback.engines.hcl import UnreadableHcl
from rollback.engines.pulumi import checkpoint
from rollback.ledger.audit_bucket import TIMELINE
from rollback.lifecycle import freeze
from rollback.lifecycle.approval import policy
from rollback.lifecycle.context import Session
from rollback.lifecycle.quarantine import covering
from rollback.model.deployed import UNKNOWN, Deployed
from rollback.model.kind import Kind
from rollback.model.record import Record
from rollback.model.release import STACK, TERRAFORM, Timeline, previous
from rollback.model.request import AliasesRequest, StackRequest
from rollback.queries import traffic
from rollback.readiness import github_environments, resource_rules, rules
from rollback.readiness.rules import (
    CheckAnswer,
    Judgement,
    Verdict,
    unasked,
)
from rollback.targets.base import Context
from rollback.targets.terraform import backend, plan_json, workspace
from rollback.targets.terraform.state_bucket import LOCK_FILE, StateBucket
from rollback.util.errors import Code, Refused, RollbackError

_RECENT = 50
_KINDS = (Kind.ALIASES, Kind.STACK, Kind.TABLE)
_NEVER = ("no stack named", "NoSuchBucket")
_NO_TABLE = ("TableNotFoundException", "ResourceNotFoundException")


def gather(
    session: Session, wanted: str, *, insist: bool, notice: Callable[[str], None] = lambda _: None
) -> Verdict:
    """Whether a change to the commit `wanted` could be rolled back.

    With `insist`, GitHub's environments count against the change if GitHub cannot be read. `notice` receives progress.
    Raises `UsageError` or `Refused` as `git.of_this_checkout` does.
    """
    commit = git.of_this_checkout(session.root, wanted, session.settings.protected_branch)
    timeline = session.ledger.timeline()
    stack, terraform = timeline.deployed(STACK), timeline.deployed(TERRAFORM)

    def of_states(check: str, what: str, ask: Callable[[], list[Judgement]]) -> list[Judgement]:
        notice(f"Previewing {what} at {commit.sha[:12]}.")
        return _of_states(session, check, ask)

    checks: dict[str, Callable[[], list[Judgement]]] = {
        "functions": lambda: _functions(session, timeline),
        "traffic": lambda: rules.traffic(traffic.of(session), session.settings.alias),
        "versions": lambda: rules.versions(_stacks(session)),
        "stack": lambda: of_states("stack", "the stack", lambda: of_stack(session.context, commit, stack)),
        "terraform": lambda: of_states(
            "terraform", "Terraform", lambda: of_terraform(session.context, commit, terraform)
        ),
        "tables": lambda: _tables(session),
        "approver": lambda: [rules.approver(session.settings)],
        "github": lambda: _github(session, insist=insist),
        "quarantine": lambda: [
            rules.quarantine(session.environment, commit.sha, covering(session, commit.sha))
        ],
        "in flight": lambda: _flight(session),
        "freeze": lambda: _freeze(session),
        "audit trail": lambda: _trail(session),
    }
    return Verdict(
        environment=session.environment,
        commit=commit.sha,
        subject=commit.subject,
        findings=tuple(finding for check, ask in checks.items() for finding in _asked(check, ask)),
    )


def _stacks(session: Session) -> stacks.Looked:
    """The stacks in the settings; without any, those in the functions' tags."""
    names = session.settings.cloudformation_stacks
    return stacks.look(
        session.account, names or stacks.of_functions(session.account, session.settings.catalogue())
    )


def _asked(check: str, ask: Callable[[], list[Judgement]]) -> list[Judgement]:
    try:
        return ask()
    except RollbackError as error:
        return [unasked(check, error.what, error.next)]


def _of_states(session: Session, check: str, ask: Callable[[], list[Judgement]]) -> list[Judgement]:
    """Like `_asked`, for checks that only the deployer role can read."""
    try:
        return ask()
    except RollbackError as error:
        denied = error.code is Code.ACCESS_DENIED
        role = session.settings.called(DEPLOYER)
        return [
            unasked(
                check, error.what, f"run it under {role}, which may read the states" if denied else error.next
            )
        ]


def _functions(session: Session, timeline: Timeline) -> list[Judgement]:
    quarantines, without = session.ledger.quarantines(), {}
    for service in session.settings.services:
        try:
            previous(timeline, [service], quarantines)
        except Refused as error:
            # The same sentence for all services, so that they are grouped; each is named beside it.
            without[service] = error.what.replace(f" for {service}", "")
    others = tuple(service for service in session.settings.services if service not in without)
    plan = session.target(Kind.ALIASES).plan(AliasesRequest(services=others)) if others else None
    return rules.functions(session.environment, session.settings.catalogue(), without, plan)


def of_stack(context: Context, commit: Commit, deployed: Deployed) -> list[Judgement]:
    """What deploying a commit would do to the environment's stack; `deployed` is the commit recorded
    as deployed. Raises `RollbackError` where that cannot be determined.
    """
    settings = context.account.settings
    if deployed is UNKNOWN and shutil.which("pulumi") is None:
        return [_never("stack", "no deployment of a stack is recorded, and pulumi is not on the PATH")]
    from rollback.targets.stack import planner, providers  # noqa: PLC0415 - need an extra, where there is a stack

    stack = planner.find(context, StackRequest())
    try:
        state = stack.state()
    except RollbackError as error:
        if deployed is UNKNOWN and any(text in error.what for text in _NEVER):
            return [_never("stack", "no stack has been deployed yet")]
        raise
    if not checkpoint.resources(state):
        return [_never("stack", "the stack has no resources")]
    planner.free(stack.locks.held())
    asked = providers.Providers(engine=stack.name.engine, where=stack.where)
    known = "" if deployed is UNKNOWN else deployed
    try:
        asked.must_be_had(state, commit, known)
    except providers.MissingProviderError as error:
        return [
            Judgement(check="stack", subject=name, answer=CheckAnswer.NO, why=error.what, next=error.next)
            for name in error.names
        ]
    made = stack.workspace(commit, state, ())
    found = planner.preview(made, state, settings.rto.infrastructure * 60, save=False)
    if not found.ended.ok and not found.protected:
        raise RollbackError(
            f"the program of {commit.sha[:12]} does not run: {found.ended.why}",
            code=Code.ENGINE_FAILED,
            next=f"pulumi preview --stack {settings.environment}",
        )
    resources = resource_rules.of_stack(found.steps)
    made_by = [step.type for step in found.steps if step.custom and step.new is not None]
    return [
        *(
            Judgement(
                check="stack",
                subject=name,
                answer=CheckAnswer.NO,
                why=f"the rollback would delete this provider's resources, but the deployed commit {known[:12]} does "
                "not have the provider",
                next="first deploy a commit that has the provider in Pulumi.yaml and in its folder, but does not use it",
            )
            for name in asked.lost_on_the_way_back(made_by, commit, known)
            if known
        ),
        *resource_rules.judged("stack", resources, settings.holds_data, commit.sha),
    ]


def of_terraform(context: Context, commit: Commit, deployed: Deployed) -> list[Judgement]:
    """What deploying a commit would do to the Terraform configuration."""
    settings, root = context.account.settings, context.root
    if settings.terraform is None:
        return [_never("terraform", "the settings have no Terraform configuration")]
    if deployed is UNKNOWN and not any(map(shutil.which, terraform_tool.NAMES)):
        return [_never("terraform", "no deployment of one is recorded, and terraform is not on the PATH")]
    bucket = StateBucket(context.account, backend.deployed(root, deployed, settings))
    try:
        state = bucket.state()
    except RollbackError as error:
        if deployed is UNKNOWN and any(text in error.what for text in _NEVER):
            return [_never("terraform", "no configuration has been applied yet")]
        raise
    if not state.get("resources"):
        return [_never("terraform", "no configuration has been applied yet")]
    bucket.must_be_free()
    folder = backend.below(root, settings)
    where = backend.shared(root, commit.sha, deployed, settings)
    locked = git.holds(root, commit.sha, f"{folder}/{LOCK_FILE}")
    tool, seconds = terraform_tool.find(), settings.rto.infrastructure * 60
    with workspace.opened(root, commit.sha, tool, settings, where, seconds=seconds) as work:
        work.init(as_committed=locked)
        try:
            work.plan()
        except Refused as refused:  # the message names the protected resources
            return [
                Judgement(
                    check="terraform", answer=CheckAnswer.NO, why=refused.what, next=resource_rules.ADVICE
                )
            ]
        shown = work.show()
    changes = plan_json.steps(shown, commit.sha)
    dropped, unread = set[str](), []
    try:
        dropped = _dropped(root, folder, deployed, commit.sha)
    except RollbackError as error:
        unread.append(unasked("terraform", error.what, error.next))
    resources = resource_rules.of_terraform(changes, shown, dropped)
    found = [*resource_rules.judged("terraform", resources, settings.holds_data, commit.sha), *unread]
    if deployed is UNKNOWN:
        why = "the deployed commit is not recorded, so a removed prevent_destroy cannot be detected"
        found.append(Judgement(check="terraform", answer=CheckAnswer.NOTE, why=why))
    return found


def _dropped(root: Path, folder: str, deployed: Deployed, commit: str) -> set[str]:
    """The addresses that have `prevent_destroy` in `deployed` and are declared without it in `commit`.

    An address in a module stands for all of its instances. Raises `RollbackError` for a file that cannot be read.
    """
    guarded: set[tuple[str, str]] = set()
    if deployed is not UNKNOWN:
        _, guarded = _kept(root, folder, deployed, ["prevent_destroy"])
    declared, still = _kept(root, folder, commit, [address.rpartition(".")[2] for _, address in guarded])
    return {address for _, address in (guarded & declared) - still}


def _kept(
    root: Path, folder: str, commit: str, arguments: Sequence[str]
) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """The declared and the protected resources, as folder and address, in the files that contain any of `arguments`."""
    declared: set[tuple[str, str]] = set()
    guarded: set[tuple[str, str]] = set()
    for path in git.files(root, commit, folder):
        text = git.read(root, commit, path) or "" if path.endswith(".tf") else ""
        if not any(expected in text for expected in arguments):
            continue
        try:
            here, safe = resource_rules.kept(text)
        except UnreadableHcl as error:
            raise RollbackError(
                f"{path} of {commit[:12]} cannot be read ({error}): a prevent_destroy removed in it cannot "
                "be detected",
                code=Code.COMMIT_UNUSABLE,
                next=f"git diff {commit[:12]} -- {path}  # look for prevent_destroy",
            ) from None
        place = str(Path(path).parent)
        declared |= {(place, address) for address in here}
        guarded |= {(place, address) for address in safe}
    return declared, guarded


def _never(check: str, why: str) -> Judgement:
    return Judgement(check=check, answer=CheckAnswer.UNNEEDED, why=why)


def _tables(session: Session) -> list[Judgement]:
    found = []
    for table in session.settings.restorable:
        try:
            found.append(_table(session, table))
        except RollbackError as error:
            found.append(unasked("tables", error.what, error.next, subject=table))
    return found


def _table(session: Session, table: str) -> Judgement:
    try:
        window = point_in_time.read(session.account.dynamodb, table)
    except RollbackError as error:
        if isinstance(error.__cause__, ClientError) and code(error.__cause__) in _NO_TABLE:
            return Judgement(
                check="tables", subject=table, answer=CheckAnswer.UNNEEDED, why="the table does not exist"
            )
        raise
    return rules.recovery(table, window, session.now().astimezone(UTC), session.settings.rto.table)


def _github(session: Session, *, insist: bool) -> list[Judgement]:
    settings = session.settings
    if not settings.repository and settings.gitlab:
        why = "GitLab's protected environments and approval rules are not checked"
        return [
            Judgement(
                check="gitlab", answer=CheckAnswer.NOTE, why=why, next="see docs/ci.md for what to protect"
            )
        ]
    if not settings.repository:
        why = "the settings have no repository"
        return [Judgement(check="github", answer=CheckAnswer.UNNEEDED, why=why)]
    reviewed = any(policy(settings, kind) == "identity" for kind in _KINDS)
    roles = [
        DEPLOYER,
        ROLLBACK,
        *([APPROVER] if settings.approvals else []),
        *([DRILL] if settings.drills else []),
    ]
    names = {role: settings.names.github_environment(role) for role in roles}
    try:
        found = github_environments.gates(settings.repository_name, list(names.values()))
    except github_environments.NotAsked as why:
        then = "set GITHUB_TOKEN to a token that may read the repository's actions"
        return [unasked("github", str(why), then, counts=insist)]
    return [
        github_environments.judged(
            gate, settings.protected_branch, reviewed=reviewed and gate.name == names.get(APPROVER)
        )
        for gate in found
    ]


def _flight(session: Session) -> list[Judgement]:
    records = [item for item in session.ledger.history(_RECENT) if isinstance(item, Record)]
    return rules.flight(session.environment, records, session.leases.holders())


def _freeze(session: Session) -> list[Judgement]:
    frozen = freeze.frozen(session.ledger)
    if frozen is None:
        return [Judgement(check="freeze", answer=CheckAnswer.YES, why=f"{session.environment} is not frozen")]
    why = f"{session.environment} is frozen: {frozen}"
    then = f'rollback unfreeze --env {session.environment} --reason "…"'
    return [Judgement(check="freeze", answer=CheckAnswer.NOTE, why=why, next=then)]


def _trail(session: Session) -> list[Judgement]:
    archive = session.ledger.archive
    if archive is None:
        return []
    try:
        next(archive.kept(TIMELINE), None)
    except RollbackError as error:
        return [Judgement(check="audit trail", answer=CheckAnswer.NOTE, why=error.what, next=error.next)]
    return [Judgement(check="audit trail", answer=CheckAnswer.YES, why=f"{archive.bucket} can be read")]
