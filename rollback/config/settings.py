"""Reads an environment's settings: `Pulumi.yaml` and `Pulumi.<environment>.yaml`, validated into `model.Settings`.

`pulumi up` passes its configuration to `from_config`, and the command line reads the same two files with
`load`, so that both see one environment through one model. A stack's value replaces the project's as a whole,
as in Pulumi. All problems are reported at once; for an unknown key the most similar one is suggested.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from rollback.config import problems
from rollback.config.model import Settings, nearest
from rollback.config.patterns import ENVIRONMENT_NAME
from rollback.config.problems import PROVIDERS, Problem
from rollback.util import safe_yaml
from rollback.util.errors import Code, UsageError

__all__ = ["PROJECT_FILE", "Settings", "environments", "find_root", "from_config", "load", "parse"]

PROJECT_FILE = "Pulumi.yaml"
# Keys that identify our project file: another program may have settings named "prefix" or "alias", too.
_OWN = {"services", "leaseSeconds", "approval", "rto", "pace"}
# Keys of a stack file and of a project file that belong to Pulumi and are not configuration.
_STACK_KEYS = {"config", "secretsprovider", "encryptedkey", "encryptionsalt", "environment"}
# The similarity from which an unknown key of the AWS provider counts as a misspelt key of ours.
_MISSPELT = 0.8


def from_config(project: str, environment: str, config: Mapping[str, Any]) -> Settings:
    """The settings in `config`: full keys to values, e.g. `{"rollback:prefix": "acme", "aws:region":
    "eu-west-1"}`.

    A structured value may be JSON text, as Pulumi passes it to a program. Raises `UsageError` with all
    unknown keys and all invalid values.
    """
    return _made(project, environment, config, [], lambda _: "")


def _made(
    project: str,
    environment: str,
    config: Mapping[str, Any],
    found: list[Problem],
    place: Callable[[problems.Path], str],
) -> Settings:
    known = {to_camel(name) for name in Settings.model_fields} - {"environment", *PROVIDERS}
    values: dict[str, Any] = {"environment": environment}
    for key, value in config.items():
        namespace, _, name = key.partition(":")
        if namespace == project and name in known:
            values[name] = _decoded(name, value)
            continue
        if namespace == project:
            path, close = (name,), nearest(name, known, prefix=f"{project}:")
        elif not _is_anothers(namespace, name, project, known):
            path, close = (key,), nearest(name or namespace, known, prefix=f"{project}:")
        elif namespace == "aws" and key not in PROVIDERS.values():
            # The best match with the stricter limit is the best match of all.
            path, close = (key,), nearest(key, PROVIDERS.values(), least=_MISSPELT)
            if not close:
                continue
        else:
            continue
        found.append(Problem(path, f"unknown setting '{key}'.{close}".removesuffix("."), exact=True))
    accounts = _json(config.get(PROVIDERS["account"]))
    if isinstance(accounts, list) and len(accounts) == 1:
        values["account"] = accounts[0]
    else:
        found.append(Problem(("account",), "it must be exactly one account"))
        values["account"] = "0" * 12
    values["region"] = config.get(PROVIDERS["region"])
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        found = [*found, *problems.of(error, project)]
    if found:
        raise problems.refusal(environment, project, found, place)
    return settings


def _is_anothers(namespace: str, name: str, project: str, known: Collection[str]) -> bool:
    """Whether a key belongs to another program or provider: it is not ours without its namespace, or with a misspelt one."""
    if not name:
        return namespace not in known
    return not (name in known and nearest(namespace.casefold(), [project], least=_MISSPELT))


def load(root: Path, environment: str) -> Settings:
    """The settings of `environment` from the project in `root`.

    Raises `UsageError` where a file is missing, is not YAML, or has invalid settings.
    """
    project_text = safe_yaml.read(
        root / PROJECT_FILE, root, next="Run the command inside a checkout of the repository."
    )
    known = environments(root)
    if environment not in known:
        raise UsageError(
            f"Unknown environment {environment[:80]!a}.{nearest(environment, known)}",
            code=Code.UNKNOWN_ENVIRONMENT,
            next=f"Environments: {', '.join(known)}.",
        )
    stack_text = safe_yaml.read(root / stack_file(root, environment), root)
    return parse(environment, project_text, stack_text)


@lru_cache(maxsize=8)
def parse(environment: str, project_text: str, stack_text: str) -> Settings:
    """The settings in the texts of the two files (`load` without the files).

    Equal texts, such as those of a checkout and its protected branch, are parsed once. Raises `UsageError` as
    `load` does.
    """
    file = f"Pulumi.{environment}.yaml"
    project = _mapping(PROJECT_FILE, project_text)
    stack = _mapping(file, stack_text)
    name = str(project.get("name", ""))
    found = [
        Problem(
            (str(key),),
            f"unknown key '{key}'.{nearest(str(key), _STACK_KEYS)}".removesuffix("."),
            exact=True,
        )
        for key in stack
        if key not in _STACK_KEYS
    ]
    config: dict[str, Any] = {}
    for key, declared in (project.get("config") or {}).items():
        full = key if ":" in key else f"{name}:{key}"
        if isinstance(declared, dict):
            value = declared.get("value", declared.get("default"))
            if value is not None:
                config[full] = value
        else:
            config[full] = declared
    config.update(stack.get("config") or {})

    def place(path: problems.Path) -> str:
        # Only called if something is wrong.
        lines = {file: safe_yaml.lines(stack_text), PROJECT_FILE: safe_yaml.lines(project_text)}
        return problems.placed(lines, name)(path)

    return _made(name, environment, config, found, place)


def stack_file(root: Path, stack: str) -> str:
    """The path of a stack's file below the Pulumi project in `root`: in `stackConfigDir`, if set.

    https://www.pulumi.com/docs/iac/concepts/projects/project-file/
    """
    return str(_stack_files(root) / f"Pulumi.{stack}.yaml")


def _stack_files(root: Path) -> Path:
    file = root / PROJECT_FILE
    text = safe_yaml.read(file, root) if file.is_file() else ""
    # Rare: the file is only parsed if it contains the key.
    named = _mapping(PROJECT_FILE, text).get("stackConfigDir") if "stackConfigDir" in text else None
    return Path(str(named or ""))


def environments(root: Path) -> list[str]:
    """The environments with a file in the project in `root`; files with other names are skipped."""
    names = (
        path.name[len("Pulumi.") : -len(".yaml")]
        for path in (root / _stack_files(root)).glob("Pulumi.*.yaml")
    )
    return sorted(name for name in names if ENVIRONMENT_NAME.fullmatch(name))


def find_root(start: Path) -> Path:
    """The nearest folder from `start` upwards whose `Pulumi.yaml` has this command's settings.

    The project file of another Pulumi program has none: it is skipped, unless
    there is no other. Raises `UsageError` where there is none.
    """
    found = [folder for folder in (start, *start.parents) if (folder / PROJECT_FILE).is_file()]
    if found:
        # If there is only one, no file needs to be read.
        return found[0] if len(found) == 1 else next(filter(has_settings, found), found[0])
    raise UsageError(
        f"No {PROJECT_FILE} in this folder or a parent folder.",
        code=Code.NO_CHECKOUT,
        next="Run the command inside a checkout of the repository.",
    )


def has_settings(folder: Path) -> bool:
    """Whether a project's file, or a stack's file, has settings of this command. An unreadable project file
    counts: loading it reports the error.
    """
    try:
        project = _mapping(PROJECT_FILE, safe_yaml.read(folder / PROJECT_FILE, folder))
    except UsageError:
        return True
    keys = {str(key) for key in project.get("config") or {}}
    for path in (folder / str(project.get("stackConfigDir") or "")).glob("Pulumi.*.yaml"):
        with suppress(UsageError):
            keys |= {
                str(key) for key in _mapping(path.name, safe_yaml.read(path, folder)).get("config") or {}
            }
    return bool({key.removeprefix(f"{project.get('name', '')}:") for key in keys} & _OWN)


def _mapping(name: str, text: str) -> dict[str, Any]:
    document = safe_yaml.mapping(name, text)
    if not isinstance(document.get("config") or {}, dict):
        raise UsageError(
            f"{name} must be a mapping with a mapping under 'config'.", code=Code.SETTINGS_INVALID
        )
    for key in document.get("config") or {}:
        if not isinstance(key, str):
            raise UsageError(f"{name}: {key!r} is not a valid key.", code=Code.SETTINGS_INVALID)
    return document


def _json(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _decoded(name: str, value: Any) -> Any:
    """Decodes structured values, which the engine passes as JSON text; plain text is returned unchanged."""
    field = problems.field_of(Settings, name)
    return value if field is None or field.annotation is str else _json(value)
