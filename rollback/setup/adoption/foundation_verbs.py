"""`rollback foundation …`: the stack that an administrator declares, separate from the deployer's."""

from __future__ import annotations

from rollback.cli.options import DryRun, Env, Json
from rollback.cli.runtime import verb
from rollback.model.grouping import number
from rollback.views import rich_layout


def split(env: Env, dry_run: DryRun = False, json: Json = False) -> None:
    """Remove from the stack's state the resources that the foundation's stack has now; changes nothing in the account."""
    with verb(env, json) as (opened, ui):
        found = opened.adoption.split_foundation(dry_run=dry_run)
        done = "would be removed from the state" if dry_run else "removed from the state"
        ui.show(
            rich_layout.lines_to_copy(
                *found.held,
                "",
                f"{number(len(found.held), 'resource')} {done} of stack {opened.name}.",
            )
            if found.held
            else rich_layout.text("Nothing to split: the two stacks have no resource in common."),
            {"environment": opened.name, "forgotten": list(found.held), "dry_run": dry_run},
        )
        ui.next(
            opened.adoption.split_command()
            if found.held and dry_run
            else f"pulumi preview --stack {opened.name} --expect-no-changes"
        )
