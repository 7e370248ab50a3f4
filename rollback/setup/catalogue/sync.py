"""Compares an environment's catalogue with its account: new, missing and renamed functions, and the updated file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollback.api.stepwise import Progress
from rollback.config import settings as configured
from rollback.config.model import nearest
from rollback.config.naming import is_like
from rollback.config.settings import Settings
from rollback.engines.pulumi.backend import bucket_url
from rollback.lifecycle.context import Session
from rollback.model.found import Deletes, Found, FoundFunction
from rollback.setup import project_files, proposal
from rollback.setup.catalogue import grouping as catalogue
from rollback.setup.catalogue import initial, inventory
from rollback.setup.catalogue.files import Change, File, changes
from rollback.setup.catalogue.grouping import Difference, Selection
from rollback.util import safe_yaml
from rollback.util.errors import Code, Refused, UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Synced:
    """The differences, and the change of the environment's file; None without a change.

    `elsewhere`: stacks that were not checked, because they contain no function of the catalogue;
    `unlisted`: functions without a stack that were not checked, because their names differ;
    `deletes`: stacks of new functions that delete the previous version; `unlooked`:
    texts that say what could not be read.
    """

    difference: Difference
    change: Change | None
    elsewhere: tuple[str, ...]
    unlisted: tuple[str, ...]
    deletes: tuple[Deletes, ...]
    unlooked: tuple[str, ...] = ()


def compare(session: Session, selection: Selection, progress: Progress) -> Synced:
    """Reads the account and compares. New are functions of the catalogue's stacks, those named like one of its functions
    except for the last word, or those in `selection`, if they have the alias.

    Raises `UsageError` where the catalogue would be empty, or where an excluded function does not exist.
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
        # If the stack creates the aliases, a new function has none yet.
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
    """Raises `UsageError` where an excluded function is not in the account: its name may be misspelt."""
    if missing := catalogue.unknown(found.functions, selection):
        close = nearest(missing[0], [one.name for one in found.functions])
        raise UsageError(
            f"--except {missing[0][:80]!a}: account {found.account} has no such function in {found.region}.{close}",
            code=Code.NOTHING_FOUND,
            next="--except NAME",
        )


def _change(session: Session, differs: Difference, own: Sequence[FoundFunction]) -> Change | None:
    settings, root = session.settings, session.root
    services = catalogue.updated(settings.services, differs)
    if not services:
        raise UsageError(
            f"Account {settings.account} has none of the functions of {settings.environment}.",
            code=Code.NOTHING_FOUND,
            next=f"rollback init --env {settings.environment}  # if account and region are right",
        )
    shared = safe_yaml.read(root / configured.PROJECT_FILE, root)
    path = configured.stack_file(root, settings.environment)
    name = str(safe_yaml.mapping(configured.PROJECT_FILE, shared).get("name", ""))
    text = project_files.with_setting(safe_yaml.read(root / path, root), name, "services", services)
    if text is None:
        return None
    new = {full for entries in differs.new.values() for full in entries.values()}
    stacks = {*settings.cloudformation_stacks, *(one.stack for one in own if one.name in new and one.stack)}
    # New functions go where the catalogue already lists some, so that the roles may read them.
    if settings.cloudformation_stacks and stacks != set(settings.cloudformation_stacks):
        text = project_files.with_setting(text, name, "cloudformationStacks", sorted(stacks)) or text
    configured.parse(settings.environment, shared, text)
    (change,) = changes(root, [File(path=path, text=text)])
    return change


def steps(settings: Settings, synced: Synced) -> tuple[str, ...]:
    """What to type after writing: the roles' policies list functions, and the stack may create their aliases."""
    names = settings.names
    path = "" if synced.change is None else synced.change.file.path
    return (
        f"git commit --message 'Update the functions of {settings.environment}' -- {path}",
        f"export PULUMI_BACKEND_URL='{bucket_url(names.foundation_bucket, settings.region)}'",
        f"pulumi up --stack {names.foundation_stack}",
        *initial.acting_as_deployer(names, settings.permission_sets.deployers),
        f"export PULUMI_BACKEND_URL='{bucket_url(names.state_bucket, settings.region)}'",
        f"pulumi up --stack {settings.environment}",
    )


def writable(synced: Synced) -> Change:
    """The change to write. Raises `Refused` where all environments share the catalogue in `Pulumi.yaml`."""
    if synced.change is None:
        raise Refused(
            f"The catalogue in {configured.PROJECT_FILE} is shared by all environments: it cannot be updated from one account.",
            code=Code.NOT_CONFIGURED,
            next=f"Edit services in {configured.PROJECT_FILE}.",
        )
    return synced.change
