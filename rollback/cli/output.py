"""The output options of every verb: `-o table` or `-o json`, and `--json`, which is short for the latter.

A verb has the parameter `json: Json`; `with_output` adds `--output`.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, Any

import typer

# Where `--help` shows what every verb has.
OUTPUT = "Output"

TABLE, JSON = FORMATS = ("table", "json")
_NAMES = ("--output", "-o")
# The parameter that `with_output` adds.
_OUTPUT = "rollback_output"
# Key of a context: the format that `--output` gave.
_FORMAT = "rollback.format"


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for JSON. It needs no valid verb: errors of usage are JSON then, too."""
    following = [*arguments[1:], ""]
    return any(
        one in ("--json", "--output=json", "-ojson") or (one in _NAMES and after == JSON)
        for one, after in zip(arguments, following, strict=True)
    )


def verb_typed(arguments: Sequence[str]) -> str:
    """The verb that is typed, or its group: options before it have no values. Empty where there is none. Pure."""
    return next((one for one in arguments if not one.startswith("-")), "")


def to_carry_out(arguments: Sequence[str]) -> str:
    """What to type so that what `--dry-run` has shown is done: the same line without it, and with a reason. Pure."""
    kept: list[str] = []
    rest = iter(arguments)
    for one in rest:
        if one in _NAMES:
            next(rest, "")
        elif one not in ("--dry-run", "--json") and not one.startswith(("--output=", "-ojson", "-otable")):
            kept.append(one)
    line = shlex.join(["rollback", *kept])
    given = any(one in ("--reason", "-r") or one.startswith(("--reason=", "-r")) for one in kept)
    return line if given else f'{line} --reason "…"'


def with_output(verb: Callable[..., None]) -> Callable[..., None]:
    """Adds the option `--output` to a verb that has a parameter `json`."""
    signature = inspect.signature(verb, eval_str=True)
    parameters = dict(signature.parameters)
    if "json" not in parameters:
        return verb
    option = typer.Option(
        *_NAMES,
        is_eager=True,
        callback=_output,
        metavar="table|json",
        autocompletion=lambda: list(FORMATS),
        help="For people, or one JSON document.",
        rich_help_panel=OUTPUT,
    )
    last = parameters.pop("json")
    output = last.replace(name=_OUTPUT, default=None, annotation=Annotated[str | None, option])

    @wraps(verb)
    def asked(**given: Any) -> None:
        del given[_OUTPUT]
        verb(**given)

    shown = [*parameters.values(), output, last]
    asked.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined] # what typer reads
    asked.__annotations__ = {one.name: one.annotation for one in shown}
    return asked


def _output(context: typer.Context, given: str | None) -> str | None:
    if given is not None and given not in FORMATS:
        raise typer.BadParameter(f"{given[:80]!a} is not table or json.")
    context.meta[_FORMAT] = given
    return given


def _json(context: typer.Context, given: bool) -> bool:  # noqa: FBT001 - typer's
    wanted = context.meta.get(_FORMAT)
    if given and wanted == TABLE:
        raise typer.BadParameter("--json and --output table contradict each other.")
    return given or wanted == JSON


Json = Annotated[
    bool, typer.Option("--json", callback=_json, help="The same as --output json.", rich_help_panel=OUTPUT)
]
