"""A request as a command line, and what to type after a refusal. Pure."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace

from rollback.model.kind import Kind
from rollback.model.plan import Refusal
from rollback.model.release import PREVIOUS, NoPrevious
from rollback.model.request import AliasesRequest, Request, StoredRequest, stored
from rollback.util.errors import Code, RollbackError

REASON = '--reason "…"'
_VERBS = {
    Kind.ALIASES: "lambda",
    Kind.STACK: "stack",
    Kind.TERRAFORM: "terraform",
    Kind.FULL: "full",
    Kind.TABLE: "table",
    Kind.CUTOVER: "table",
    Kind.PRUNE: "prune",
}
_ROLLS_BACK = re.compile(rf"rollback ({'|'.join(sorted(set(_VERBS.values())))}) ")
# An option with its value in a refusal's remedy.
_OPTION = re.compile(r"--adopt-current|--(?:except|allow-destroy|to|cutover|keep) (?:'[^']*'|[^\s,;']+)")
_ADOPT = "--adopt-current"
_EXCEPT = "--except"
# The most functions to exclude: with more, the rest would not be a rollback of the release.
_LEFT_OUT = 5


def command_line(
    request: Request, environment: str, more: Iterable[str] = (), *, emergency: bool = False
) -> str:
    """`rollback lambda --env dev --to v1.1.0 --reason "…"`: the request with `more` options ("--except NAME"), of which
    non-repeatable ones replace the request's own.
    """
    asked = stored(request)
    target = "--keep" if request.kind == Kind.PRUNE else "--to"
    options = {
        "--table": asked.table,
        target: "" if asked.to == PREVIOUS else asked.to,
        "--services": ",".join(asked.services),
        "--stack": asked.stack,
        "--project-dir": asked.project,
        "--cutover": "" if asked.cutover == StoredRequest().cutover else asked.cutover,
    }
    flags = {
        "--delete-new": asked.delete_new,
        _ADOPT: asked.adopt_current,
        "--allow-below": asked.allow_below,
    }
    several = [(_EXCEPT, name) for name in asked.without]
    several += [("--allow-destroy", name) for name in asked.allow_destroy]
    for option in more:
        name, _, value = option.partition(" ")
        if name in flags:
            flags[name] = True
        elif name in options:
            options[name] = shlex.split(value)[0]
        else:
            several.append((name, shlex.split(value)[0]))
    words = [f"{name} {shlex.quote(value)}" for name, value in options.items() if value]
    words += [name for name, given in flags.items() if given]
    words += [f"{name} {shlex.quote(value)}" for name, value in dict.fromkeys(several)]
    verb = f"{_VERBS[request.kind]}{' --emergency' if emergency else ''}"
    return " ".join(["rollback", verb, "--env", environment, *words, REASON])


def still_dry(steps: str) -> str:
    """The lines of what to type after a dry run was refused: those that roll back are dry runs, too. Pure."""
    return "\n".join(
        line.replace(REASON, "--dry-run") if _ROLLS_BACK.match(line) else line for line in steps.splitlines()
    )


def ways_past(
    refusals: Sequence[Refusal], request: Request, environment: str, *, emergency: bool = False
) -> str:
    """What to type if a plan is refused, one line each: commands of the remedies, and the request with the remedies'
    options. Without any, how to see the plan after fixing the cause.
    """
    lines = [one.remedy for one in refusals if one.remedy.startswith("rollback ")]
    if lines and not emergency:  # a quarantined target
        lines.insert(0, f"rollback status --env {environment}  # shows what else it can be rolled back to")
    options = [_OPTION.findall(one.remedy) for one in refusals if not one.remedy.startswith("rollback ")]
    if options and all(options):
        # The first option of a remedy keeps the requested scope, the last one excludes things.
        for choice in ([each[0] for each in options], [each[-1] for each in options]):
            left_out = [option for option in choice if option.startswith(_EXCEPT)]
            if len(left_out) <= _LEFT_OUT or not lines:
                lines.append(command_line(request, environment, choice, emergency=emergency))
    elif options or not lines:
        lines.append(f"{_dry_run(request, environment, emergency=emergency)}  # after fixing that")
    return "\n".join(dict.fromkeys(lines))


def _dry_run(request: Request, environment: str, *, emergency: bool = False) -> str:
    return command_line(request, environment, emergency=emergency).replace(f" {REASON}", " --dry-run")


def after(error: RollbackError, request: Request, environment: str, *, emergency: bool = False) -> str:
    """What to type after an error of planning: the error's `next`, or lines that need the request."""
    if error.code is Code.BELOW_FLOOR:
        below = command_line(request, environment, ["--allow-below"], emergency=emergency)
        look = f"rollback release list --env {environment}  # then use a newer one with --to\n"
        return f"{'' if emergency else look}{below}  # as an exception, which is recorded and needs approval"
    if error.code is Code.NO_PREVIOUS and not emergency and not error.next.startswith("rollback "):
        if request.kind in (Kind.ALIASES, Kind.FULL):
            return (
                f"{_of_the_others(error, request, environment)}"
                f"rollback release list --env {environment}  # lists the releases; use one with --to V\n"
                f"rollback release adopt --env {environment} --version V  # records a release older than the ledger"
            )
        return f"rollback history --env {environment} --kind {request.kind}  # lists deployed commits; use one with --to COMMIT"
    return error.next


def _of_the_others(error: RollbackError, request: Request, environment: str) -> str:
    """The line that rolls back the services which have a previous release; empty without any."""
    others = error.others if isinstance(error, NoPrevious) else ()
    if not others:
        return ""
    asked = request if isinstance(request, AliasesRequest) else AliasesRequest()
    return f"{command_line(replace(asked, services=others), environment)}  # only services that have one\n"


def after_preparing(error: RollbackError, environment: str) -> str:
    """What to type after an error of planning a standby, which has no plan options: the rollback itself, or a list."""
    if error.code is Code.BELOW_FLOOR:
        below = command_line(AliasesRequest(), environment, ["--allow-below"])
        return (
            f"{below}  # now, as an exception, which is recorded and needs approval\n"
            f"rollback status --env {environment}  # shows what it can be rolled back to"
        )
    if error.code is Code.NO_PREVIOUS:
        return f"rollback release list --env {environment}  # lists the releases"
    return error.next


def without_unknown(request: Request, environment: str, unknown: str, known: Iterable[str]) -> str:
    """What to type if `--except` has an unknown name: the request with the most similar name; or, without one,
    the command that shows all names.
    """
    names = list(known)
    near = [name for name in names if name.endswith(f"-{unknown}")]
    near = near or difflib.get_close_matches(unknown, names, n=1)
    left = tuple(name for name in request.without if name != unknown)
    rest = replace(request, without=left)  # type: ignore[call-arg] # a request that leaves out has the field
    if near:
        return command_line(rest, environment, [f"{_EXCEPT} {shlex.quote(near[0])}"])
    return f"{_dry_run(rest, environment)}  # lists the functions"
