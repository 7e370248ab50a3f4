"""What is asked for as somebody types it, and what to type where it is refused. Pure."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace

from rollback.core.errors import Code, RollbackError
from rollback.model.kind import Kind
from rollback.model.plan import Refusal
from rollback.model.release import PREVIOUS
from rollback.model.request import AliasesRequest, Request, StoredRequest, stored

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
# What a refusal's remedy says to add: an option, with its value.
_OPTION = re.compile(r"--adopt-current|--(?:except|allow-destroy|to|cutover|keep) (?:'[^']*'|[^\s,;']+)")
_ADOPT = "--adopt-current"
_EXCEPT = "--except"
# So many functions may be left out before what is left is no rollback of the release any more.
_LEFT_OUT = 5


def command_line(
    request: Request, environment: str, more: Iterable[str] = (), *, emergency: bool = False
) -> str:
    """`rollback lambda --env dev --to v1.1.0 --reason "…"`: the request with `more` options ("--except NAME"), of which
    those that may be there once replace the request's own.
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


def ways_past(
    refusals: Sequence[Refusal], request: Request, environment: str, *, emergency: bool = False
) -> str:
    """What to type where a plan is refused, a line each: what lifts a refusal, and the request with what its remedies
    add. Where they add nothing, how to see the plan once the cause is fixed.
    """
    lines = [one.remedy for one in refusals if one.remedy.startswith("rollback ")]
    options = [_OPTION.findall(one.remedy) for one in refusals if not one.remedy.startswith("rollback ")]
    if options and all(options):
        # The first option of each goes on in the way that was asked for, the last one leaves things out.
        for choice in ([each[0] for each in options], [each[-1] for each in options]):
            left_out = [option for option in choice if option.startswith(_EXCEPT)]
            if len(left_out) <= _LEFT_OUT or not lines:
                lines.append(command_line(request, environment, choice, emergency=emergency))
    elif options or not lines:
        lines.append(f"{_dry_run(request, environment, emergency=emergency)}  # once that is fixed")
    return "\n".join(dict.fromkeys(lines))


def _dry_run(request: Request, environment: str, *, emergency: bool = False) -> str:
    return command_line(request, environment, emergency=emergency).replace(f" {REASON}", " --dry-run")


def after(error: RollbackError, request: Request, environment: str, *, emergency: bool = False) -> str:
    """What to type after an error of planning: as the error says, but where that takes the request to say it."""
    if error.code is Code.BELOW_FLOOR:
        below = command_line(request, environment, ["--allow-below"], emergency=emergency)
        look = f"rollback release list --env {environment}  # name a newer one with --to\n"
        return f"{'' if emergency else look}{below}  # an exception, which is recorded and approved"
    if error.code is Code.NO_PREVIOUS and not emergency and not error.next.startswith("rollback "):
        if request.kind in (Kind.ALIASES, Kind.FULL):
            return (
                f"rollback release list --env {environment}  # what there is: name one with --to V\n"
                f"rollback release adopt --env {environment} --version V  # one of a time before the ledger"
            )
        return f"rollback history --env {environment} --kind {request.kind}  # what was deployed: name one with --to COMMIT"
    return error.next


def after_preparing(error: RollbackError, environment: str) -> str:
    """The same of planning a standby, which takes no options of a plan: what is left is the rollback itself, or to look."""
    if error.code is Code.BELOW_FLOOR:
        below = command_line(AliasesRequest(), environment, ["--allow-below"])
        return (
            f"{below}  # now, as an exception, which is recorded and approved\n"
            f"rollback status --env {environment}  # what it can be rolled back to"
        )
    if error.code is Code.NO_PREVIOUS:
        return f"rollback release list --env {environment}  # what there is"
    return error.next


def without_unknown(request: Request, environment: str, unknown: str, known: Iterable[str]) -> str:
    """What to type where `--except` names nothing that there is: the request with the nearest name; or, where none is near,
    what shows all names.
    """
    names = list(known)
    near = [name for name in names if name.endswith(f"-{unknown}")]
    near = near or difflib.get_close_matches(unknown, names, n=1)
    left = tuple(name for name in request.without if name != unknown)
    rest = replace(request, without=left)  # type: ignore[call-arg] # a request that leaves out has the field
    if near:
        return command_line(rest, environment, [f"{_EXCEPT} {shlex.quote(near[0])}"])
    return f"{_dry_run(rest, environment)}  # which names the functions"
