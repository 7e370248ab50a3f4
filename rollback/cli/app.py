"""The console script `rollback`: the table of its verbs, and the end of the process."""

from __future__ import annotations

import gc
import io
import os
import re
import sys
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from rollback import __version__
from rollback.cli import verbosity, zsh_completion
from rollback.cli.help_texts import EXAMPLES, FIRST, PANELS
from rollback.cli.lazy import LazyCommand, meant
from rollback.cli.output import asks_for_json
from rollback.cli.verbosity import Debug, Quiet, Verbose
from rollback.rooms import rooms
from rollback.util.errors import Code, RollbackError, UsageError
from rollback.util.sanitize import clean
from rollback.util.stdio import to_nowhere, warn, write_out

# For each group the core's verbs: the verb's function, and the first sentence of that function's docstring, so that a
# list of verbs needs none of their modules. The rooms' verbs are added to it.
VERBS: dict[str, dict[str, tuple[str, str]]] = {
    "rollback": {
        "lambda": ("cli.commands.roll_back:lambda_", "Roll Lambda aliases back to an earlier release."),
        "stack": ("cli.commands.roll_back:stack", "Roll a Pulumi stack back to an earlier commit."),
        "terraform": (
            "cli.commands.roll_back:terraform",
            "Roll the Terraform configuration back to an earlier commit.",
        ),
        "table": (
            "cli.commands.roll_back:table",
            "Restore a table to a point in time, beside the live one; a second step cuts over to it.",
        ),
        "full": (
            "cli.commands.roll_back:full",
            "Roll back a whole release: aliases, then the stack, then the Terraform configuration.",
        ),
        "freeze": (
            "cli.commands.freeze:freeze",
            "Block deployments and rollbacks by everybody else until unfreeze.",
        ),
        "unfreeze": ("cli.commands.freeze:unfreeze", "Lift an environment's freeze, no matter who set it."),
        "prune": (
            "cli.commands.prune:prune",
            "Delete published versions that no release needs; without --digest or --yes, list them and ask.",
        ),
        "audit": (
            "cli.commands.audit:audit",
            "Check the whole ledger against its archive: exit 5 if an item was changed.",
        ),
        "approve": (
            "cli.commands.unfinished:approve",
            "Approve another person's plan, under the approver role.",
        ),
        "apply": (
            "cli.commands.unfinished:apply",
            "Apply an approved plan, or one that you confirm by its digest.",
        ),
        "resume": ("cli.commands.unfinished:resume", "Finish an interrupted rollback, from any machine."),
        "abort": ("cli.commands.unfinished:abort", "Cancel a plan, or undo an unfinished rollback."),
        "watch": (
            "cli.commands.standby:watch",
            "Watch a release's alarms, and take the standby if one goes off: exit 4 if so.",
        ),
        "verify": (
            "cli.commands.status:verify",
            "Verify what is deployed; with an ID, verify that rollback again.",
        ),
        "status": (
            "cli.commands.status:status",
            "Show what is deployed, what is running, and what to type next.",
        ),
        "history": (
            "cli.commands.records:history",
            "List releases, rollbacks and stack updates, newest first.",
        ),
        "show": (
            "cli.commands.records:show",
            "Show a rollback (plan, journal, next command), drill or stack update.",
        ),
    },
    "standby": {
        "prepare": (
            "cli.commands.standby:prepare",
            "Plan the rollback of the newest release in advance, so that it can be taken in seconds.",
        ),
        "take": ("cli.commands.standby:take", "Apply the standby, without another approval."),
    },
}
# The groups' lines of help.
GROUPS = {"standby": "A rollback that is planned and approved in advance."}
for _room in rooms():
    for _name, _verbs in _room.verbs.items():
        VERBS.setdefault(_name, {}).update(_verbs)
    GROUPS.update(_room.groups)

# Key in a context's `meta`: whether help lists every verb.
_ALL = "rollback.help.all"
# The hint where an unknown option comes before the verb.
_AFTER = "A verb's options go after the verb."
# A record's id.
_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
# Verbs of other tools, and what to type after `rollback` instead.
ELSEWHERE = {
    "undo": "lambda",
    "revert": "lambda",
    "rollback": "lambda",
    "aliases": "lambda",
    "list": "release list",
    "releases": "release list",
    "log": "history",
    "plan": "lambda --dry-run",
    "unlock": "abort",
    "confirm": "apply",
    "cancel": "abort",
    "version": "--version",
    "completion": "--show-completion",
}


class _Group(TyperGroup):
    """The verbs of one group of `VERBS`, then the groups inside it. `help VERB` is `VERB --help`, and
    `help all` lists every verb, one per line.
    """

    def __init__(self, *, name: str, commands: dict[str, Any], **settings: Any) -> None:
        before = "" if name == "rollback" else f"{name} "
        verbs = {
            verb: LazyCommand(verb, *described, EXAMPLES.get(before + verb, ()))
            for verb, described in VERBS[name].items()
        }
        super().__init__(name=name, commands=verbs | commands, **settings)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if self.name == "rollback":
            verbosity.begin()
            if args[:1] in (["--install-completion"], ["--show-completion"]):
                zsh_completion.mend()
        asked = args[:1] == ["help"]
        ctx.meta[_ALL] = asked and args[1:] == ["all"]
        if ctx.meta[_ALL]:
            args = ["help"]
        with meant(ctx, _AFTER):
            return super().parse_args(ctx, [*args[1:], "--help"] if asked else args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        here = ELSEWHERE.get(args[0]) if self.name == "rollback" else None
        if here == "lambda" and len(args) > 1 and _ID.fullmatch(args[1]):
            here = "abort"
        if here is None and self.name == "rollback":
            here = (
                " ".join(next(((group, args[0]) for group in VERBS if args[0] in VERBS[group]), ())) or None
            )
        if here is not None and args[0] not in self.commands:
            ctx.fail(f"No such command '{args[0]}'. Did you mean 'rollback {here}'?")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """A short form at the top level, so that the help fits one screen."""
        if self.name != "rollback" or ctx.meta.get(_ALL):
            super().format_options(ctx, formatter)
            return
        self.format_commands(ctx, formatter)
        formatter.write("rollback COMMAND --help shows examples; rollback help all lists everything.\n")

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Lists the commands with their help lines, wrapped to the terminal; the top level shows the first group only."""
        lines = {name: one.help for name, one in self.commands.items()}
        if self.name != "rollback":
            with formatter.section("Commands"):
                formatter.write_dl([*lines.items()])
            return
        panels = {panel: [name for name in names if name in lines] for panel, names in PANELS.items()}
        for panel, names in panels.items():
            if names and (panel == FIRST or ctx.meta.get(_ALL)):
                with formatter.section(panel):
                    formatter.write_dl([(name, lines[name]) for name in names])
        if not ctx.meta.get(_ALL):
            formatter.write_paragraph()
            rest = [(panel, ", ".join(names)) for panel, names in panels.items() if names and panel != FIRST]
            options = [max(one.opts, key=len) for one in self.get_params(ctx)]
            usual = ", ".join(name for name in options if "completion" not in name)
            formatter.write_dl([*rest, ("Options", usual)])


def _group(name: str, line: str) -> typer.Typer:
    return typer.Typer(
        name=name,
        cls=_Group,
        help=line,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


app = _group("rollback", "Roll back a bad release: planned, approved, verified and recorded.")


def _version(asked: bool) -> None:  # noqa: FBT001 - typer's
    if asked:
        write_out(f"rollback {__version__}")
        raise typer.Exit


@app.callback()
def _all(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version, and exit.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Roll back a bad release: planned, approved, verified and recorded."""


for _name, _line in GROUPS.items():
    app.add_typer(_group(_name, _line))


def main() -> None:
    """Runs the command line; the exit codes are those of docs/reference/exit-codes.md."""
    # Imported modules are never garbage; `verb` enables the collector again after the imports.
    gc.disable()
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        # The message quotes what was typed, which may hold control characters.
        if asks_for_json(sys.argv):
            from rollback.views.terminal import Terminal  # noqa: PLC0415 - rich is needed by this one answer alone

            context = getattr(error, "ctx", None)
            verb = context.command_path.partition(" ")[2] if context else ""
            helped = " ".join(filter(None, ("rollback", verb, "--help")))
            wrong = UsageError(error.format_message(), code=Code.OPTION_INVALID, next=helped)
            Terminal(json_output=True).error(wrong)
        else:
            output = io.StringIO()
            error.show(output)  # type: ignore[attr-defined] # all that come here have it
            warn(f"{clean(output.getvalue()).rstrip()} [{Code.OPTION_INVALID}]")
        code = error.exit_code
    except typer.Abort:
        code = 1
    except RollbackError as error:
        # Of a verb they are told by itself: this is the version that could not be written.
        warn(error.what)
        code = error.exit_code
    except OSError as error:
        # A verb reports its own write errors; what is left here is a help text.
        to_nowhere(sys.stdout)
        warn(f"The help could not be written to standard output: {error.strerror}.")
        code = 1
    _leave(code or 0)


def _leave(code: int) -> NoReturn:
    """Ends the process without the interpreter's shutdown, which takes a tenth of a second; everything is closed by now."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
