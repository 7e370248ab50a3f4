"""An environment's catalogue beside what its account has now: what is new, gone or renamed, and the file after that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollback.actions.catalogue import initial
from rollback.actions.catalogue.files import Change, File, changes
from rollback.actions.context import Session
from rollback.aws import inventory
from rollback.aws.inventory import Progress
from rollback.config import settings as configured
from rollback.config.model import nearest
from rollback.config.naming import is_like
from rollback.config.settings import Settings
from rollback.core import safe_yaml
from rollback.core.errors import Code, Refused, UsageError
from rollback.integrations.pulumi.backend import bucket_url
from rollback.model import catalogue, project_files, proposal
from rollback.model.catalogue import Difference, Selection
from rollback.model.found import Deletes, Found, FoundFunction


@dataclass(frozen=True, kw_only=True, slots=True)
class Synced:
    """What differs, and the change of the environment's file; None where nothing would change.

    `elsewhere` are the stacks of functions that were not looked at, since nothing of the catalogue is in them;
    `unlisted` are functions without a stack that were not looked at either, since they are called otherwise;
    `deletes` are stacks of new functions that delete the version before; `unlooked` says
    in words what could not be read.
    """

    difference: Difference
    change: Change | None
    elsewhere: tuple[str, ...]
    unlisted: tuple[str, ...]
    deletes: tuple[Deletes, ...]
    unlooked: tuple[str, ...] = ()


def compare(session: Session, selection: Selection, progress: Progress) -> Synced:
    """Reads the account, and decides. New are functions of the catalogue's stacks, or named as one of its functions but
    for the last word, or those that `selection` names, where they have the alias.

    Raises `UsageError` where nothing of the catalogue would be left, or one to be left out is not there.
    """
    settings, visitor = session.settings, inventory.of(session.account)
    found = inventory.find(visitor, progress)
    must_be_there(found, selection)
    known = {name for entries in settings.services.values() for name in entries.values()}
    near = {one.name for one in catalogue.near(found.functions, known)}

    def belongs(one: FoundFunction) -> bool:
        close = one.name in near or is_like(one.name, settings.alike)
        return selection.takes(one) if selection.given else close and one.name not in selection.excluded

    strangers, _ = catalogue.chosen(
        [one for one in found.functions if one.name not in known], settings.environment, Selection()
    )
    own = [one for one in strangers if belongs(one)]
    details = inventory.examine(visitor, own, (), progress)
    lacking = proposal.without_alias([one.name for one in own], details.aliases, settings.alias)
    differs = catalogue.difference(
        settings.services,
        {one.name for one in found.functions},
        own,
        details.paths,
        settings.environment,
        # Where the stack makes the aliases, a new function has none yet.
        without_alias=() if settings.declare_aliases else lacking,
    )
    return Synced(
        difference=differs,
        change=None if differs.empty else _change(session, differs, own),
        elsewhere=tuple(sorted({one.stack for one in strangers if one.stack and not belongs(one)})),
        unlisted=tuple(
            sorted(
                one.name
                for one in strangers
                if not (one.stack or belongs(one) or one.name in selection.excluded)
            )
        ),
        deletes=details.deletes,
        unlooked=(*found.unlooked, *details.unlooked),
    )


def must_be_there(found: Found, selection: Selection) -> None:
    """Raises `UsageError` where a function that is to be left out is not in the account: its name may be misspelt."""
    if missing := catalogue.unknown(found.functions, selection):
        close = nearest(missing[0], [one.name for one in found.functions])
        raise UsageError(
            f"--except {missing[0][:80]!a}: account {found.account} has no such function in {found.region}.{close}",
            code=Code.NOTHING_FOUND,
            next="Name a function of the account: --except NAME",
        )


def _change(session: Session, differs: Difference, own: Sequence[FoundFunction]) -> Change | None:
    settings, root = session.settings, session.root
    services = catalogue.updated(settings.services, differs)
    if not services:
        raise UsageError(
            f"None of the functions of {settings.environment} is in account {settings.account} any more.",
            code=Code.NOTHING_FOUND,
            next=f"rollback init --env {settings.environment}  # where account and region are right",
        )
    shared = safe_yaml.read(root / configured.PROJECT_FILE, root)
    path = configured.stack_file(root, settings.environment)
    name = str(safe_yaml.mapping(configured.PROJECT_FILE, shared).get("name", ""))
    text = project_files.with_setting(safe_yaml.read(root / path, root), name, "services", services)
    if text is None:
        return None
    new = {full for entries in differs.new.values() for full in entries.values()}
    stacks = {*settings.cloudformation_stacks, *(one.stack for one in own if one.name in new and one.stack)}
    # Where others of the catalogue's are listed, which the roles may read.
    if settings.cloudformation_stacks and stacks != set(settings.cloudformation_stacks):
        text = project_files.with_setting(text, name, "cloudformationStacks", sorted(stacks)) or text
    configured.parse(settings.environment, shared, text)
    (change,) = changes(root, [File(path=path, text=text)])
    return change


def steps(settings: Settings, synced: Synced) -> tuple[str, ...]:
    """What to type after it is written: roles are allowed functions one by one, and the stack may make their aliases."""
    names = settings.names
    path = "" if synced.change is None else synced.change.file.path
    return (
        f"git commit --message 'The functions of {settings.environment} as they are' -- {path}",
        f"export PULUMI_BACKEND_URL='{bucket_url(names.foundation_bucket, settings.region)}'",
        f"pulumi up --stack {names.foundation_stack}",
        *initial.acting_as_deployer(names, settings.permission_sets.deployers),
        f"export PULUMI_BACKEND_URL='{bucket_url(names.state_bucket, settings.region)}'",
        f"pulumi up --stack {settings.environment}",
    )


def writable(synced: Synced) -> Change:
    """The change to write. Raises `Refused` where the catalogue is that of all environments, in `Pulumi.yaml`."""
    if synced.change is None:
        raise Refused(
            f"The catalogue is in {configured.PROJECT_FILE}, for all environments: it is not written from one account.",
            code=Code.NOT_CONFIGURED,
            next=f"Change services in {configured.PROJECT_FILE}.",
        )
    return synced.change
