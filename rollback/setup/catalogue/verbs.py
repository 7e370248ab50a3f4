"""`rollback catalogue …`: the functions that the settings list."""

from __future__ import annotations

from typing import Annotated

import typer

from rollback.cli.options import DryRun, Env, Json
from rollback.cli.runtime import verb
from rollback.setup.catalogue import view as views
from rollback.setup.catalogue.grouping import Selection
from rollback.setup.init_verbs import tag_of
from rollback.util.errors import Code, Refused


def sync(
    env: Env,
    stack: Annotated[
        list[str] | None,
        typer.Option(
            "--stack",
            metavar="NAME",
            help="Look for new functions in this CloudFormation stack; can be repeated.",
        ),
    ] = None,
    name_prefix: Annotated[
        list[str] | None,
        typer.Option(
            "--name-prefix",
            metavar="BEGINNING",
            help="Look for functions whose names begin with this; can be repeated.",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="KEY=VALUE", help="Look for functions with this tag; can be repeated."),
    ] = None,
    except_: Annotated[
        list[str] | None,
        typer.Option("--except", metavar="FUNCTION", help="Leave this new function out; can be repeated."),
    ] = None,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write the difference without asking.")] = False,
    json: Json = False,
) -> None:
    """Add new functions to the settings, and remove those that no longer exist."""
    with verb(env, json) as (opened, ui):
        synced = opened.catalogue.compare(
            Selection(
                stacks=tuple(stack or ()),
                prefixes=tuple(name_prefix or ()),
                tags=tuple(map(tag_of, tag or ())),
                excluded=tuple(except_ or ()),
            )
        )
        if not json:
            ui.console.print(views.view(synced, opened.settings.alias))
        written = False
        if not (dry_run or synced.difference.empty):
            answer = yes or ui.confirm("Write it?")
            if not answer:
                raise Refused(
                    "Not confirmed." if answer is False else "There is no terminal to confirm the change.",
                    code=Code.CONFIRMATION_MISSING,
                    next=f"rollback catalogue sync --env {opened.name} --yes  # write it; repeat the other options",
                )
            opened.catalogue.write(synced)
            written = True
        steps = opened.catalogue.steps(synced) if written else ()
        document = views.document(synced, opened.settings.alias, steps, written=written)
        ui.show(views.steps_view(steps), {"environment": opened.name, **document})
