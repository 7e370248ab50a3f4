"""All problems of settings in one error: each with its file, its line, and a valid example."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from rollback.config.model import Settings, nearest
from rollback.config.patterns import Problems
from rollback.util.errors import Code, UsageError

Path = tuple[str | int, ...]
# The keys in files, by their names in the model.
PROVIDERS = {"account": "aws:allowedAccountIds", "region": "aws:region"}
# The most problems shown; another tool's file could have one per key.
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a setting. `path` is from the settings' top, spelled as in files, `("rto", "code")`; `exact`
    if `what` is a complete sentence with the setting's name.
    """

    path: Path
    what: str
    exact: bool = False


def of(error: ValidationError, project: str) -> list[Problem]:
    """All problems found by the model."""
    found: list[Problem] = []
    for one in error.errors():
        inner = one.get("ctx", {}).get("error")
        if isinstance(inner, Problems):
            found += [Problem(path, what) for path, what in inner.found]
        elif one["type"] == "extra_forbidden":
            found.append(_unknown(one["loc"], project))
        elif one["type"] == "missing":
            found.append(Problem(one["loc"], "it is not set"))
        else:
            what = _plainly(one["type"], one["msg"], one.get("ctx", {}))
            # A problem of a mapping's key.
            path = one["loc"][:-1] if one["loc"][-1:] == ("[key]",) else one["loc"]
            found.append(Problem(path, what))
    return list(dict.fromkeys(found))


def refusal(
    environment: str, project: str, found: Sequence[Problem], place: Callable[[Path], str]
) -> UsageError:
    """The error with all problems. `place` returns a path's location, `Pulumi.dev.yaml line 7`, or an empty text."""
    lines = [_sentence(one, project, place(one.path)) for one in found[:_SHOWN]]
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    what = (
        f"The settings of environment '{environment}' are not valid: {lines[0]}"
        if len(lines) == 1
        else "\n  ".join(
            [
                f"The settings of environment '{environment}' are not valid, {len(found)} problems:",
                *lines,
                *more,
            ]
        )
    )
    examples = dict.fromkeys(filter(None, (example(one.path, project) for one in found[:_SHOWN])))
    file = f"Pulumi.{environment}.yaml"
    then = (
        f"In {file}, for example: {next(iter(examples))}"
        if len(examples) == 1
        else "\n  ".join([f"In {file}, for example:", *examples])
    )
    return UsageError(what, code=Code.SETTINGS_INVALID, next=then if examples else "")


class _Plain(yaml.SafeDumper):
    """Writes repeated values without anchors, so that they can be pasted."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's
        return True


def key(path: Path, project: str) -> str:
    """A setting's key in files: `rollback:rto.code`, `aws:region`."""
    first, *rest = map(str, path)
    return ".".join([PROVIDERS.get(first, f"{project}:{first}"), *rest])


def example(path: Path, project: str) -> str:
    """A valid line: `rollback:rto: {code: 5}`; empty without an example."""
    fields: list[str] = []
    model: Any = Settings
    found: FieldInfo | None = None
    for part in path:
        one = field_of(model, part)
        if one is None:
            break
        fields.append(to_camel(str(part)))
        found, model = one, one.annotation
    if found is None:
        return ""
    value = found.examples[0] if found.examples else _composed(model)
    for name in reversed(fields[1:]):
        value = {name: value}
    shown = (
        yaml.dump(value, Dumper=_Plain, default_flow_style=True, sort_keys=False, width=1000)
        .removesuffix("\n...\n")
        .strip()
    )
    return "" if value == {} else f"{key((fields[0],), project)}: {shown}"


def field_of(model: Any, name: str | int) -> FieldInfo | None:
    """The field of a model (or optional model) by its name in a file."""
    for one in (model, *getattr(model, "__args__", ())):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return next(
                (info for field, info in one.model_fields.items() if name in (field, to_camel(field))), None
            )
    return None


def placed(lines: Mapping[str, Mapping[Path, int]], project: str) -> Callable[[Path], str]:
    """Returns a function that locates a setting: `lines` are those of the stack's and the project's file, in order of precedence."""

    def place(path: Path) -> str:
        first = PROVIDERS.get(str(path[0]), f"{project}:{path[0]}")
        for file, known in lines.items():
            for top in (("config", first), ("config", str(path[0])), tuple(path[:1])):
                if top in known:
                    return f"{file} line {_deepest(known, top, path[1:])}"
        return ""

    return place


def _deepest(known: Mapping[Path, int], top: Path, rest: Path) -> int:
    line = known[top]
    for value in ((), ("value",), ("default",)):
        for end in range(len(rest), 0, -1):
            if (found := known.get((*top, *value, *rest[:end]))) is not None:
                return found
    return line


def _composed(model: Any) -> Any:
    """An example of a model, with its required fields, or else all."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {}
    fields = model.model_fields
    wanted = {name: one for name, one in fields.items() if one.is_required()} or fields
    return {to_camel(name): one.examples[0] for name, one in wanted.items() if one.examples}


def _unknown(path: Path, project: str) -> Problem:
    model: Any = Settings
    for part in path[:-1]:
        found = field_of(model, part)
        model = found.annotation if found else None
    models = [one for one in (model, *getattr(model, "__args__", ())) if hasattr(one, "model_fields")]
    fields = [to_camel(name) for one in models for name in one.model_fields]
    close = nearest(str(path[-1]), fields)
    return Problem(path, f"unknown setting '{key(path, project)}'.{close}".removesuffix("."), exact=True)


def _sentence(problem: Problem, project: str, place: str) -> str:
    said = problem.what if problem.exact else f"{key(problem.path, project)}: {problem.what}"
    end = "" if said.endswith(("?", ".")) else "."
    return f"{place}: {said}{end}" if place else f"{said}{end}"


# Messages by pydantic's type of error; braces are filled from the error's context.
# https://docs.pydantic.dev/latest/errors/validation_errors/
_WORDS = {
    "string_pattern_mismatch": "this name or value is not valid",
    "literal_error": "it must be {expected}",
    "greater_than": "it must be more than {gt:g}",
    "greater_than_equal": "it must be at least {ge:g}",
    "less_than": "it must be less than {lt:g}",
    "less_than_equal": "it must be at most {le:g}",
    "string_too_long": "it has more than {max_length} characters",
    "string_too_short": "it has fewer than {min_length} characters",
    "too_long": "it has more than {max_length} entries",
    "too_short": "it has fewer than {min_length} entries",
}
_KINDS = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
}


def _plainly(kind: str, message: str, context: Mapping[str, Any]) -> str:
    """The message of an error, in plain English."""
    if kind == "value_error":  # from our own validators
        text = message.removeprefix("Value error, ")
        return text[:1].lower() + text[1:]
    if words := _WORDS.get(kind):
        return words.format(**context)
    wanted = _KINDS.get(kind.partition("_")[0])
    return f"it must be {wanted}" if wanted else "this name or value is not valid"
