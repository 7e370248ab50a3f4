"""Reads an account, and proposes the files that make its functions an environment: `rollback init` uses it.

    setup = Setup.look("production")
    chosen = setup.choose()
    details = setup.examine(chosen)
    proposal = setup.propose(chosen, details)
    preview = setup.preview(chosen, details, proposal)
    setup.write(preview.changes)

Everything only reads, except `write`, which writes files and changes nothing in the account.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollback.api.events import Event, Reporter
from rollback.api.stepwise import stepwise
from rollback.config.patterns import ENVIRONMENT_NAME
from rollback.model.found import Details, Found, FoundFunction
from rollback.model.grouping import some
from rollback.queries import traffic
from rollback.queries.traffic import Traffic
from rollback.setup import proposal as proposals
from rollback.setup.catalogue import (
    ci,
    files,
    initial,
    inventory,
    sync,
)
from rollback.setup.catalogue import grouping as catalogue
from rollback.setup.catalogue.files import Change
from rollback.setup.catalogue.grouping import By, Selection
from rollback.setup.catalogue.inventory import Visitor
from rollback.setup.ci_files import Pin
from rollback.setup.proposal import Proposal
from rollback.util.errors import Code, UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The functions of an environment, and those whose names belong to another environment."""

    functions: tuple[FoundFunction, ...]
    of_others: tuple[FoundFunction, ...] = ()

    def without(self, names: Collection[str]) -> Chosen:
        """The same without these functions."""
        return Chosen(
            functions=tuple(one for one in self.functions if one.name not in names), of_others=self.of_others
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """Everything to review before files are written."""

    proposal: Proposal
    found: Found
    details: Details
    # Functions that were excluded because their names belong to another environment.
    of_others: tuple[str, ...]
    traffic: Traffic
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Setup:
    """An account and region as the caller sees it, for one new environment."""

    environment: str
    found: Found
    start: Path
    folder: Path
    _visitor: Visitor
    _reporter: Reporter

    @classmethod
    def look(
        cls,
        environment: str,
        *,
        region: str = "",
        start: str | Path | None = None,
        folder: str = "",
        on_event: Callable[[Event], object] | None = None,
    ) -> Setup:
        """Lists the account's functions and tables, with their tags.

        `folder` is where the files go, relative to `start` (the current folder); by default where those of other
        environments are, else the current folder, else `rollbacks/`. Raises `UsageError` without credentials or a
        region, for a name that no environment can have, for a folder of another program, or if there are no functions.
        """
        if not ENVIRONMENT_NAME.fullmatch(environment):
            raise UsageError(
                f"{environment[:80]!a} is not a valid environment name.",
                code=Code.OPTION_INVALID,
                next="Use lower-case letters, digits and -, at most 40 characters: --env prod-eu",
            )
        here = Path(start or Path.cwd()).resolve()
        place = files.choose_folder(here, folder)
        reporter = Reporter(on_event=on_event or (lambda _: None), ask=lambda _: None)
        visitor = inventory.visit(region)
        with stepwise(reporter) as progress:
            found = inventory.find(visitor, progress)
        if not found.functions:
            raise UsageError(
                f"Account {found.account} has no functions in {found.region}.",
                code=Code.NOTHING_FOUND,
                next="Name another region with --region, or use credentials of another account.",
            )
        return cls(
            environment=environment,
            found=found,
            start=here,
            folder=place,
            _visitor=visitor,
            _reporter=reporter,
        )

    def choose(self, selection: Selection | None = None) -> Chosen:
        """The selected functions. Raises `UsageError` if there are none, or if a function to exclude does not exist."""
        wanted = selection or Selection()
        sync.must_be_there(self.found, wanted)
        taken, left = catalogue.chosen(self.found.functions, self.environment, wanted)
        if not taken:
            raise UsageError(
                f"None of the {len(self.found.functions)} functions of {self.found.account} in {self.found.region} "
                "matches.",
                code=Code.NOTHING_FOUND,
                next=f"rollback init --env {self.environment} --dry-run  # their stacks and names: without --stack, --name-prefix and --tag",
            )
        return Chosen(functions=taken, of_others=left)

    def examine(self, chosen: Chosen) -> Details:
        """Their aliases and stacks, one call each, and the tables and trails beside them."""
        rough = self.services(chosen, Details())
        tables = proposals.candidate_tables(self.found, chosen.functions, rough)
        with stepwise(self._reporter) as progress:
            return inventory.examine(self._visitor, chosen.functions, tables, progress)

    def services(
        self, chosen: Chosen, details: Details, *, by: By | None = None, tag: str = ""
    ) -> dict[str, dict[str, str]]:
        """Services and their entries, in the setting's format."""
        return catalogue.services(chosen.functions, details.paths, self.environment, by=by, tag=tag)

    @staticmethod
    def alias(details: Details) -> str:
        """The alias that most functions have; `live` if none has any."""
        return next(iter(catalogue.common_alias(details.aliases)), "live")

    @staticmethod
    def without_alias(chosen: Chosen, details: Details, alias: str) -> tuple[str, ...]:
        """The functions without an alias that others have; empty if no function has it."""
        names = [one.name for one in chosen.functions]
        lacking = proposals.without_alias(names, details.aliases, alias)
        return lacking if len(lacking) < len(names) else ()

    def propose(
        self,
        chosen: Chosen,
        details: Details,
        *,
        alias: str = "",
        prefix: str = "",
        production: bool | None = None,
        by: By | None = None,
        tag: str = "",
        tables: Mapping[str, str] | None = None,
        people: Mapping[str, Any] | None = None,
        permission_sets: bool | None = None,
        repository: str = "",
        gitlab: Mapping[str, str] | None = None,
    ) -> Proposal:
        """An environment's settings; arguments that are not given get a proposal. `gitlab` is the setting of that name.

        `permission_sets` says whether people use IAM Identity Center; by default whether the caller does.

        Raises `UsageError` if some functions have the alias and others do not, if it points at $LATEST, or if
        no function has it and nothing is published.
        """
        services = self.services(chosen, details, by=by, tag=tag)
        names = [one.name for one in chosen.functions]
        alias = alias or self.alias(details)
        if lacking := self.without_alias(chosen, details, alias):
            raise _missing(
                alias,
                lacking,
                f"{len(lacking)} of {len(names)} functions have no alias '{alias}'",
                out="exclude all of them with --only-with-alias, one with --except NAME",
            )
        if latest := proposals.unpublished(names, details.aliases, alias):
            raise _missing(alias, latest, f"Alias '{alias}' of {len(latest)} functions points at $LATEST")
        declares = bool(proposals.without_alias(names, details.aliases, alias))
        if declares:
            with stepwise(self._reporter) as progress:
                there = inventory.published(self._visitor, names, progress)
            if bare := [name for name in names if name not in there]:
                raise _missing(
                    alias, bare, f"{len(bare)} of {len(names)} functions have no published version"
                )
        production = proposals.is_production(self.environment) if production is None else production
        prefix = prefix or self.prefix
        if permission_sets is None:
            permission_sets = not people and proposals.by_permission_set(self.found.caller)
        named = dict(people or {}) or self._caller()
        sets = (
            proposals.permission_sets(prefix, self.environment, production=production)
            if permission_sets
            else {}
        )
        in_ci = repository or (gitlab or {}).get("approvals", "")
        approvers = bool(named.get("approvers") or sets.get("approvers") or in_ci)
        return Proposal(
            environment=self.environment,
            account=self.found.account,
            region=self.found.region,
            prefix=prefix,
            alias=alias,
            production=production,
            services=services,
            declares=declares,
            stacks=tuple(sorted({one.stack for one in chosen.functions if one.stack})),
            tables=proposals.tables(details, self.environment) if tables is None else tables,
            people=named,
            permission_sets=sets,
            repository=repository,
            protected_branch=initial.protected_branch(self.folder),
            gitlab=dict(gitlab or {}),
            approval=proposals.approval(production=production, approvers=approvers),
            rto_minutes=proposals.rto_minutes(len(names)),
            called=catalogue.of_another(chosen.functions, self.environment),
            by=by,
            ungrouped=catalogue.ungrouped(chosen.functions, details.paths, by, tag) if by else (),
        )

    @property
    def prefix(self) -> str:
        """The prefix of the environments already in the folder; else one made from the folder's name."""
        place = self.folder.parent if self.folder.name == files.FOLDER else self.folder
        return initial.shared(self.folder, "prefix") or proposals.prefix_of(place.name)

    @property
    def caller(self) -> str:
        """The default person of the settings: the caller as an IAM user, `sso` for IAM Identity Center, or nobody."""
        return (
            "sso" if proposals.by_permission_set(self.found.caller) else proposals.person(self.found.caller)
        )

    def _caller(self) -> dict[str, list[str]]:
        """The caller alone, for every role except the approver."""
        own = proposals.person(self.found.caller)
        return {role: [own] for role in ("deployers", "onCall", "breakGlass")} if own else {}

    def preview(
        self,
        chosen: Chosen,
        details: Details,
        proposal: Proposal,
        *,
        system: str = "",
        pinned: Pin | None = None,
    ) -> Preview:
        """The files, what writing them would change, and what invokes the functions without their alias.

        `system` is the CI system to write files for, `pinned` (`model.ci_files.pin`) what they call. Raises
        `UsageError` if the files would not load.
        """
        made = files.changes(self.folder, initial.files(self.folder, proposal))
        top = initial.repository(self.folder) or self.folder
        below = Path(os.path.relpath(self.folder, top))
        with stepwise(self._reporter) as progress:
            progress("Reading what invokes the functions", 0)
            seen = traffic.look(self._visitor, proposal.functions, self.found.region, self.found.account)
        return Preview(
            proposal=proposal,
            found=self.found,
            details=details,
            of_others=tuple(one.name for one in chosen.of_others),
            traffic=seen,
            changes=(*made, *files.changes(top, ci.files(system, pinned, proposal, self.folder, below))),
        )

    def write(self, changes: Iterable[Change]) -> tuple[Path, ...]:
        """Writes them, and overwrites files that differ. Returns what was written. Raises as `files.write` does."""
        return files.write(changes)

    def steps(self, proposal: Proposal) -> tuple[str, ...]:
        """What to type after writing the files, line by line, without steps that are done already."""
        tables = {one.name for one in self.found.tables}
        done = initial.done(self.folder, proposal.environment, self._visitor, tables)
        return initial.steps(self.folder, self.start, proposal, done)


def _missing(
    alias: str, functions: Iterable[str], what: str, *, out: str = "exclude them with --except NAME"
) -> UsageError:
    named = list(functions)
    return UsageError(
        f"{what}: {some(named, 5)}.",
        code=Code.ALIAS_MISSING,
        next=f"Deploy them with the alias, {out}, or name an alias other than --alias {alias}.",
    )
