"""`rollback init`: reads an account, and writes the files that make its functions an environment."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from rollback.cli.options import DryRun, Json
from rollback.cli.runtime import answering
from rollback.config.naming import GITLAB_COM
from rollback.setup import answers, ci_files
from rollback.setup import api as setups
from rollback.setup import proposal as proposals
from rollback.setup import view as views
from rollback.setup.catalogue.grouping import By, Selection
from rollback.util.errors import Code, Refused, UsageError
from rollback.views import terminal

_ROLES = {
    "deployers": "--deployer",
    "onCall": "--on-call",
    "breakGlass": "--break-glass",
    "approvers": "--approver",
}


class Grouped(StrEnum):
    """How functions are grouped into services."""

    stack = "stack"
    path = "path"
    tag = "tag"
    prefix = "prefix"


NewEnv = Annotated[
    str,
    typer.Option("--env", "-e", metavar="ENV", help="The environment's name, e.g. production or prod-eu."),
]


def init(
    env: NewEnv,
    alias: Annotated[
        str,
        typer.Option(
            "--alias",
            metavar="ALIAS",
            help="The alias that callers invoke; default: the one that functions have.",
        ),
    ] = "",
    region: Annotated[
        str, typer.Option("--region", metavar="REGION", help="The region; default: yours.")
    ] = "",
    folder: Annotated[
        str,
        typer.Option(
            "--folder",
            metavar="DIR",
            help="Where to write; default: this folder, or rollbacks/ if it is not empty.",
        ),
    ] = "",
    prefix: Annotated[
        str,
        typer.Option(
            "--prefix", metavar="PREFIX", help="The prefix of all declared names; default: the folder's name."
        ),
    ] = "",
    production: Annotated[
        bool | None,
        typer.Option("--production/--no-production", help="Whether it is production; default: by its name."),
    ] = None,
    stack: Annotated[
        list[str] | None,
        typer.Option(
            "--stack", metavar="NAME", help="Only functions of this CloudFormation stack; can be repeated."
        ),
    ] = None,
    name_prefix: Annotated[
        list[str] | None,
        typer.Option(
            "--name-prefix",
            metavar="BEGINNING",
            help="Only functions whose names begin with this; can be repeated.",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="KEY=VALUE", help="Only functions with this tag; can be repeated."),
    ] = None,
    except_: Annotated[
        list[str] | None,
        typer.Option("--except", metavar="FUNCTION", help="Leave this function out; can be repeated."),
    ] = None,
    only_with_alias: Annotated[
        bool, typer.Option("--only-with-alias", help="Leave out functions that lack the alias.")
    ] = False,
    services_by: Annotated[
        Grouped | None,
        typer.Option(
            "--services-by", help="How to group functions into services; default: chosen automatically."
        ),
    ] = None,
    service_tag: Annotated[
        str, typer.Option("--service-tag", metavar="KEY", help="With --services-by tag: the tag to use.")
    ] = "",
    tables: Annotated[
        bool,
        typer.Option("--tables/--no-tables", help="Whether to list tables with point-in-time recovery."),
    ] = True,
    deployer: Annotated[
        list[str] | None, typer.Option("--deployer", metavar="ARN", help="Who may deploy.")
    ] = None,
    on_call: Annotated[
        list[str] | None, typer.Option("--on-call", metavar="ARN", help="Who may roll back.")
    ] = None,
    break_glass: Annotated[
        list[str] | None, typer.Option("--break-glass", metavar="ARN", help="Who may act in an emergency.")
    ] = None,
    approver: Annotated[
        list[str] | None,
        typer.Option("--approver", metavar="ARN", help="Who may approve; can be repeated, like the others."),
    ] = None,
    permission_sets: Annotated[
        bool | None,
        typer.Option(
            "--permission-sets/--no-permission-sets",
            help="Whether people log in with IAM Identity Center; default: if you do.",
        ),
    ] = None,
    repository: Annotated[
        str,
        typer.Option(
            "--repository", metavar="OWNER/NAME", help="The GitHub repository whose jobs assume the roles."
        ),
    ] = "",
    github: Annotated[
        str,
        typer.Option(
            "--github",
            metavar="OWNER/NAME@SHA",
            help="Also write GitHub workflows; they call the workflows of this repository and commit.",
        ),
    ] = "",
    gitlab: Annotated[
        str,
        typer.Option(
            "--gitlab",
            metavar="GROUP/PROJECT@SHA",
            help="Also write GitLab jobs; they include the component of this project and commit.",
        ),
    ] = "",
    gitlab_project: Annotated[
        str,
        typer.Option(
            "--gitlab-project",
            metavar="GROUP/PROJECT",
            help="The GitLab project whose jobs assume the roles.",
        ),
    ] = "",
    gitlab_approvals: Annotated[
        str,
        typer.Option(
            "--gitlab-approvals",
            metavar="GROUP/PROJECT",
            help="A second project whose jobs may approve; default: people approve.",
        ),
    ] = "",
    ci_source: Annotated[
        str,
        typer.Option(
            "--ci-source",
            metavar="SOURCE",
            help="What CI installs: a version, a git URL with a commit, or a wheel; default: the commit above.",
        ),
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="With --yes: also overwrite files that differ.")
    ] = False,
    dry_run: DryRun = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Write the proposed files without asking.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the settings of a new environment from the functions of an AWS account."""
    with answering(env, json) as ui:
        system, pinned = _ci(github, gitlab, ci_source)
        selection = Selection(
            stacks=tuple(stack or ()),
            prefixes=tuple(name_prefix or ()),
            tags=tuple(map(tag_of, tag or ())),
            excluded=tuple(except_ or ()),
        )
        _right("--alias", answers.alias(alias) if alias else "")
        _right("--prefix", answers.prefix(prefix) if prefix else "")
        people = dict(zip(_ROLES, (deployer, on_call, break_glass, approver), strict=True))
        for role, given in people.items():
            _right(_ROLES[role], answers.people(given or ()))
        setup = setups.Setup.look(env, region=region, folder=folder, on_event=ui.hear)
        chosen = setup.choose(selection)
        details = setup.examine(chosen)
        if not alias:
            usual = setup.alias(details)
            alias = usual if yes else ui.ask("Alias that callers invoke?", usual, answers.alias)
        if lacking := setup.without_alias(chosen, details, alias):
            question = (
                f"{len(lacking)} of {len(chosen.functions)} functions have no alias {alias}. Exclude them?"
            )
            if only_with_alias or (not yes and ui.decide(question, proposed=False)):
                chosen = chosen.without(lacking)
        if production is None and not yes:
            usually = proposals.is_production(env)
            production = ui.decide("Do people depend on it (production)?", proposed=usually)
        named = {role: given for role, given in people.items() if given}
        if not (yes or named or permission_sets is not None or repository or gitlab_project):
            named, permission_sets = _people(ui, setup, asked=bool(production))
        proposed = setup.propose(
            chosen,
            details,
            alias=alias,
            prefix=prefix
            or ("" if yes else ui.ask("Prefix of all declared names?", setup.prefix, answers.prefix)),
            production=production,
            by=By(services_by.value) if services_by else None,
            tag=service_tag,
            tables=None if tables else {},
            people=named,
            permission_sets=permission_sets,
            repository=repository,
            gitlab=_projects(pinned, gitlab_project, gitlab_approvals),
        )
        preview = setup.preview(chosen, details, proposed, system=system, pinned=pinned)
        if not json:
            ui.console.print(views.view(preview, str(setup.folder)))
        write = not dry_run and _confirmed(ui, env, preview, yes=yes, overwrite=overwrite)
        if write:
            setup.write(preview.changes)
        steps = setup.steps(proposed) if write else ()
        ui.show(views.steps_view(steps), views.document(preview, steps, written=write))


def _right(option: str, wrong: str) -> None:
    """Raises `UsageError` that names the option where its value is `wrong`."""
    if wrong:
        raise UsageError(f"{option}: {wrong}", code=Code.OPTION_INVALID)


def _ci(github: str, gitlab: str, source: str) -> tuple[str, ci_files.Pin | None]:
    """The CI system whose files are written, and what they call. Raises `UsageError` for two systems, or for a source without one."""
    wanted = {ci_files.GITHUB: github, ci_files.GITLAB: gitlab}
    named = [system for system, given in wanted.items() if given]
    if len(named) > 1 or (source and not named):
        raise UsageError(
            "--ci-source needs --github or --gitlab, and these two exclude each other.",
            code=Code.OPTION_INVALID,
            next="--github OWNER/NAME@SHA or --gitlab GROUP/PROJECT@SHA",
        )
    return (named[0], ci_files.pin(named[0], wanted[named[0]], source)) if named else ("", None)


def _projects(pinned: ci_files.Pin | None, project: str, approvals: str) -> dict[str, str]:
    """The setting `gitlab`. Raises `UsageError` for approvals without a project."""
    if not project:
        if approvals:
            raise UsageError("--gitlab-approvals needs --gitlab-project.", code=Code.OPTION_INVALID)
        return {}
    host = pinned.host if pinned and pinned.host not in ("github.com", GITLAB_COM) else ""
    named = {"project": project, "approvals": approvals, "host": host}
    return {key: value for key, value in named.items() if value}


def _people(
    ui: terminal.Terminal, setup: setups.Setup, *, asked: bool
) -> tuple[dict[str, list[str]], bool | None]:
    """The people typed on a terminal, and whether they use IAM Identity Center; nobody where nothing is typed.

    `asked`: also ask who approves.
    """
    usual = setup.caller

    def wrong(given: str) -> str:
        known = given in (usual, "nobody") or given.casefold() == "sso"
        return "" if known else answers.people(_listed(given))

    given = ui.ask(
        "Who deploys and rolls back? ARNs of IAM users, separated by commas, or sso", usual or "nobody", wrong
    )
    if given in (usual, "nobody"):
        return {}, None
    if given.casefold() == "sso":
        return {}, True
    people = {role: _listed(given) for role in ("deployers", "onCall", "breakGlass")}
    approvers = (
        ui.ask(
            "Who approves? ARNs, separated by commas",
            "nobody",
            lambda given: "" if given == "nobody" else answers.people(_listed(given)),
        )
        if asked
        else "nobody"
    )
    return people | ({} if approvers == "nobody" else {"approvers": _listed(approvers)}), None


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def tag_of(given: str) -> tuple[str, str]:
    """`KEY=VALUE`. Raises `UsageError` for anything else."""
    key, equals, value = given.partition("=")
    if not (key and equals):
        raise UsageError(
            f"--tag {given[:80]!a} is not a tag.", code=Code.OPTION_INVALID, next="--tag team=orders"
        )
    return key, value


def _confirmed(
    ui: terminal.Terminal, env: str, preview: setups.Preview, *, yes: bool, overwrite: bool
) -> bool:
    """Whether the files may be written. Raises `Refused` without a confirmation."""
    differ = [one.file.path for one in preview.changes if one.kind == "differs"]
    if yes and (overwrite or not differ):
        return True
    question = f"Overwrite {', '.join(differ)} and write the others?" if differ else "Write these files?"
    answer = ui.decide(question, proposed=False)
    if answer:
        return True
    what = f"{', '.join(differ)} would be overwritten" if differ and yes else "files would be written"
    raise Refused(
        "Not confirmed." if answer is False else f"There is no terminal to confirm: {what}.",
        code=Code.CONFIRMATION_MISSING,
        next=f"rollback init --env {env} {'--yes --overwrite' if differ else '--yes'}  # repeat the other options",
    )
