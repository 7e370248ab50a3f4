"""Removes the foundation from the state of an environment's stack, where both were once one stack.

The foundation now has a separate stack, whose state is imported from the account
(`rollback adopt --foundation`). Nothing is copied from the old state: the deployer could write to it, and the
administrator would then apply it. Removing from the state calls no provider and changes nothing in the
account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollback.config.settings import PROJECT_FILE, Settings
from rollback.engines.pulumi import update_history
from rollback.engines.pulumi.backend import BackendLocks, backend_url
from rollback.engines.pulumi.engine import Denied, Engine, EngineError
from rollback.engines.pulumi.update_history import StackName
from rollback.lifecycle.context import Session
from rollback.util import safe_yaml
from rollback.util.errors import Code, Refused, UsageError

# The components of `foundation` in the program.
COMPONENTS = frozenset(
    f"rollback:index:{name}"
    for name in ("AuditTrail", "BreakGlass", "DeploymentsTable", "GithubRoles", "RollbackEnvironments")
)
_PROVIDER = "pulumi:providers:"
# What `pulumi stack export` prints: {"version": 3, "deployment": {"resources": [{"urn", …}], …}}.
Exported = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """`held`: resources of the foundation that the stack still has, each as `TYPE NAME`; `lacking`: those that the
    foundation's stack does not have; `rest`: the stack's state without them.
    """

    held: tuple[str, ...]
    lacking: tuple[str, ...]
    rest: Exported


def is_foundations(urn: str) -> bool:
    """Whether a resource is one of the foundation's components, or inside one."""
    return not COMPONENTS.isdisjoint(urn.split("::")[2].split("$"))


def split(stack: Exported, foundation: Exported) -> Split:
    """Compares the exported `stack` with the exported `foundation`. Pure."""
    kept = [one for one in _resources(stack) if not is_foundations(one["urn"])]
    used = {str(one.get("provider", "")).rpartition("::")[0] for one in kept}
    kept = [one for one in kept if not one["type"].startswith(_PROVIDER) or one["urn"] in used]
    ours = _names(stack)
    deployment = dict(stack.get("deployment") or {})
    pending = deployment.get("pending_operations")
    if pending:
        deployment["pending_operations"] = [
            one for one in pending if not is_foundations(one["resource"]["urn"])
        ]
    return Split(
        held=tuple(ours),
        lacking=tuple(sorted(set(ours) - set(_names(foundation)))),
        rest={**stack, "deployment": {**deployment, "resources": kept}},
    )


def refuse_unsplit(stack: Exported, settings: Settings) -> None:
    """Raises `Refused` where the environment's stack still has resources of the foundation."""
    if _names(stack):
        raise Refused(
            f"The stack {settings.environment} still has resources that now belong to the stack "
            f"{settings.names.foundation_stack}: pulumi up would delete them.",
            code=Code.WOULD_DESTROY,
            changed="Nothing was changed.",
            next=f"{command(settings.environment)}  # as an administrator",
        )


def command(environment: str) -> str:
    """The command that does it."""
    return f"rollback foundation split --env {environment}"


def take_out(session: Session, *, dry_run: bool) -> Split:
    """Removes from the stack's state what the foundation's stack has. Idempotent.

    Raises `UsageError` where one of the stacks does not exist; `Refused` where the stack is locked, or where the
    foundation's stack does not have every resource yet.
    """
    settings = session.settings
    project = update_history.project_name(safe_yaml.read(session.root / PROJECT_FILE, session.root))
    own, apart = (Engine.found(backend_url(settings, foundation=is_)) for is_ in (False, True))
    own.version()
    with (
        update_history.stack_name(own, project, settings.environment) as stack,
        update_history.stack_name(apart, project, settings.names.foundation_stack) as foundation,
    ):
        found = split(exported(stack), exported(foundation))
        if found.lacking:
            raise Refused(
                f"The stack {foundation.stack} does not have: {', '.join(found.lacking)}. No stack would manage them.",
                code=Code.NOT_DECLARED,
                changed="Nothing was changed.",
                next=f"rollback adopt --env {settings.environment} --foundation --write "
                f"../adopt-{settings.environment}",
            )
        locks = BackendLocks(
            url=own.backend,
            project=project,
            stack=settings.environment,
            s3=lambda: session.account.client("s3"),
        )
        if held := locks.held():
            raise Refused(
                f"Another operation holds the stack {settings.environment}: {held[0]}.",
                code=Code.STATE_LOCKED,
                changed="Nothing was changed.",
                next=f"{command(settings.environment)}  # after that operation has ended",
            )
        if found.held and not dry_run:
            stack.imported(found.rest)
    return found


def exported(stack: StackName) -> Exported:
    """The exported state of a stack, with encrypted secrets. Raises `UsageError` where there is no such stack."""
    try:
        return stack.exported()
    except Denied as error:
        error.changed = "Nothing was changed."
        error.next = "Run it as an administrator, who may read the states of both stacks."
        raise
    except EngineError as error:
        if "no stack named" not in error.what:
            raise
        raise UsageError(
            f"There is no stack {stack.stack!r} yet in {stack.engine.backend.partition('?')[0]}.",
            code=Code.UNKNOWN_STACK,
            next=f"pulumi stack init {stack.stack} --secrets-provider URL  # docs/getting-started.md; then again",
        ) from None


def _resources(stack: Exported) -> list[Mapping[str, Any]]:
    return list((stack.get("deployment") or {}).get("resources") or ())


def _names(stack: Exported) -> list[str]:
    """The foundation's resources as `TYPE NAME`, which is the same in both stacks."""
    return [
        f"{one['type']} {one['urn'].rpartition('::')[2]}"
        for one in _resources(stack)
        if is_foundations(one["urn"])
    ]
