"""The console script `rollback`: the table of its verbs, and how its process ends."""

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
from rollback.cli import verbosity
from rollback.cli.help_texts import EXAMPLES, FIRST, PANELS
from rollback.cli.lazy import LazyCommand, meant
from rollback.cli.output import asks_for_json
from rollback.cli.verbosity import Debug, Quiet, Verbose
from rollback.core.errors import Code, UsageError
from rollback.core.sanitize import clean
from rollback.core.stdio import to_nowhere, warn, write_out

# Of each group, in the order of its help: the verb, the function in `rollback.cli.commands` that does it, and the
# first sentence of that function's docstring, so that a list of verbs needs none of their modules.
VERBS = {
    "rollback": {
        "lambda": ("roll_back:lambda_", "Roll Lambda aliases back to an earlier release."),
        "stack": ("roll_back:stack", "Deploy a Pulumi stack as an earlier commit had it."),
        "terraform": (
            "roll_back:terraform",
            "Apply the Terraform configuration as an earlier commit had it.",
        ),
        "table": (
            "roll_back:table",
            "Restore a table to a point in time, beside the live one; then, apart, cut over to it.",
        ),
        "full": (
            "roll_back:full",
            "Roll back aliases, then the stack and the Terraform configuration that a release was made with.",
        ),
        "report": ("report:report", "Write what happened as one HTML page that needs nothing else."),
        "freeze": ("freeze:freeze", "Refuse deployments and rollbacks of everybody else, until unfreeze."),
        "unfreeze": ("freeze:unfreeze", "Lift an environment's freeze, no matter who set it."),
        "prune": (
            "prune:prune",
            "Delete published versions that nothing needs: without --digest and --yes only shows them, or asks.",
        ),
        "audit": (
            "audit:audit",
            "Walk the whole ledger and its archive, and name the first place where the trail breaks: exit 5 if any.",
        ),
        "drill": (
            "drill:drill",
            "Make something bad on purpose, roll it back, and measure; never in production.",
        ),
        "adopt": (
            "adopt:adopt",
            "List what exists already of what the program declares, and how the stack adopts it; changes nothing.",
        ),
        "init": (
            "init:init",
            "Look at an account's functions, and write the files that declare an environment around them.",
        ),
        "acceptance": (
            "acceptance:acceptance",
            "Try in the account, in a sandbox of its own, what this tool relies on: exit 5 where a fact does not hold.",
        ),
        "login": (
            "login:login",
            "Take a role with MFA, under your own name, and keep it here until it ends.",
        ),
        "logout": ("login:logout", "Forget what login keeps of an environment's roles."),
        "credentials": (
            "login:credentials",
            "Hand on what login keeps of a role, as an AWS profile's credential_process asks for it.",
        ),
        "can": (
            "can:can",
            "Say whether a change could be taken back: exit 0, or 3 with a line for each reason.",
        ),
        "approve": (
            "unfinished:approve",
            "Approve exactly one plan, as another person under the approver role.",
        ),
        "apply": ("unfinished:apply", "Carry out an approved plan, or one that you confirm by its digest."),
        "resume": ("unfinished:resume", "Finish what was interrupted, from any machine."),
        "abort": ("unfinished:abort", "Give up a plan, or undo what an unfinished run has done."),
        "watch": (
            "standby:watch",
            "Watch a release's alarms for a while, and take what is on standby if one turns red: exit 4 if so.",
        ),
        "verify": (
            "status:verify",
            "Verify what is deployed; or, with an ID, a rollback whose verification failed.",
        ),
        "status": ("status:status", "What is deployed, what is in flight, and what to type next."),
        "diff": ("records:diff", "What changed between two releases, or since the one before."),
        "history": ("records:history", "Releases, rollbacks and what the engine deployed, newest first."),
        "show": (
            "records:show",
            "One rollback: its plan, its journal, and what to type next; or one entry of the engine's history.",
        ),
    },
    "release": {
        "record": ("release:record", "Record what every alias is at, after a deployment."),
        "adopt": (
            "release:adopt",
            "Make a release of the published versions whose description is exactly the version.",
        ),
        "list": ("release:list_", "The recorded releases, newest first, and what is deployed where."),
        "quarantine": (
            "release:quarantine",
            "Quarantine a release: no rollback goes to it until it is lifted.",
        ),
        "lift": ("release:lift", "Let a quarantined release come back."),
    },
    "standby": {
        "prepare": (
            "standby:prepare",
            "Plan the rollback from the release that was recorded last, to be taken later in seconds.",
        ),
        "take": ("standby:take", "Carry out the way back that is on standby, without another approval."),
    },
    "catalogue": {
        "sync": (
            "catalogue:sync",
            "Propose what is new, gone or renamed among an environment's functions, and write it into its settings.",
        ),
    },
    "guard": {
        "build": (
            "guard:build",
            "Make the package of the guard's function, before `pulumi up` of the foundation.",
        ),
        "status": (
            "guard:status",
            "Say whether the guard would answer an alarm, what it would do now, and why alarms took nothing of late.",
        ),
        "test": (
            "guard:rehearse",
            "Have the guard do all that it would if an alarm turned red now, but for the rollback.",
        ),
    },
    "ci": {
        "role": (
            "ci:role",
            "Have a job take a role: outputs for GitHub's next step, or what a shell of GitLab's evaluates.",
        ),
        "plan": (
            "ci:plan",
            "Plan, write it down, and hand on what it waits for; a second attempt of a run goes on with its record.",
        ),
        "reviewer": ("ci:reviewer", "Hand on who has reviewed this run; asks GitHub or GitLab alone."),
        "apply": (
            "ci:apply",
            "Carry out the run's plan; or go on, where an earlier attempt was interrupted or failed.",
        ),
        "end": (
            "ci:end_",
            "Give up what was rejected or ran out of time, and say in the job's summary how it ended.",
        ),
    },
    "foundation": {
        "split": (
            "foundation:split",
            "Have the stack forget what is in the foundation's stack now; nothing in the account changes.",
        ),
    },
    "ledger": {
        "import": ("ledger:import_", "Adopt the journal of an emergency, once the ledger is back."),
        "mend": ("ledger:mend", "Restore what a restored or new table has lost, from the archive."),
    },
    "tools": {
        "install": (
            "tools:install",
            "Install the Pulumi engine, by Pulumi's own installer, for this command alone.",
        ),
    },
}


# Whether help lists everything, in a context's `meta`.
_ALL = "rollback.help.all"
# What an option before the verb may be.
_AFTER = "A verb's options go after the verb."
# A record's id.
_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
# What other tools call it: the words after `rollback` that do it here.
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
}


class _Group(TyperGroup):
    """The verbs of the table under this group's name, before the groups within it. `help VERB` is `VERB --help`, and
    `help all` is each verb in a line.
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
        """In short where all is listed: one screen."""
        if self.name != "rollback" or ctx.meta.get(_ALL):
            super().format_options(ctx, formatter)
            return
        self.format_commands(ctx, formatter)
        formatter.write_paragraph()
        options = [max(one.opts, key=len) for one in self.get_params(ctx)]
        formatter.write_dl([("Options", ", ".join(options))])
        formatter.write_paragraph()
        formatter.write("rollback VERB --help shows examples, too; rollback help all lists every verb.\n")

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each with its whole line, wrapped where the terminal ends; of the command itself the first group alone."""
        lines = {name: one.help for name, one in self.commands.items()}
        if self.name != "rollback":
            with formatter.section("Commands"):
                formatter.write_dl([*lines.items()])
            return
        for panel, names in PANELS.items():
            if panel == FIRST or ctx.meta.get(_ALL):
                with formatter.section(panel):
                    formatter.write_dl([(name, lines[name]) for name in names])
        if not ctx.meta.get(_ALL):
            formatter.write_paragraph()
            formatter.write_dl(
                [(panel, ", ".join(names)) for panel, names in PANELS.items() if panel != FIRST]
            )


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


app = _group("rollback", "Rolls a bad release back: planned, approved, verified and recorded.")


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
    """Rolls a bad release back: planned, approved, verified and recorded."""


app.add_typer(_group("release", "Records what was released, and what must not come back."))
app.add_typer(_group("guard", "What takes a way back on standby for an alarm, without a person."))
app.add_typer(_group("standby", "A way back that is planned and approved in advance."))
app.add_typer(_group("catalogue", "The functions that an environment's settings list."))
app.add_typer(_group("ci", "What the workflows call, each a step of a job."))
app.add_typer(_group("foundation", "What an administrator declares, in a stack of its own."))
app.add_typer(_group("ledger", "The ledger after an emergency, or after a restore."))
app.add_typer(_group("tools", "The programs that this command drives."))


def main() -> None:
    """Runs the command line; the exit codes are those of docs/reference/exit-codes.md."""
    # Nothing of what is imported is garbage; `verb` has it looked for again once all is there.
    gc.disable()
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        # Wrong usage names what was typed, which may hold anything.
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
            warn(clean(output.getvalue()))
        code = error.exit_code
    except typer.Abort:
        code = 1
    except OSError as error:
        # Of a verb they are told by itself: this is a help text that could not be written.
        to_nowhere(sys.stdout)
        warn(f"The help could not be written to standard output: {error.strerror}.")
        code = 1
    _leave(code or 0)


def _leave(code: int) -> NoReturn:
    """Ends the process, in which everything is closed by now, without taking it apart: a tenth of a second."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
