"""What an environment is: `Pulumi.yaml` and `Pulumi.<environment>.yaml`, validated into `Settings`.

`pulumi up` passes its configuration to `from_config`, and the command line reads the same two files with
`load`, so that both see one environment through one model. A stack's value replaces the project's as a whole,
as in Pulumi. Unknown keys are refused, with the nearest known one named.

It is longer than 400 lines: one model of what the files may say.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from rollback.config.naming import Names
from rollback.core import safe_yaml
from rollback.core.errors import Code, UsageError

PROJECT_FILE = "Pulumi.yaml"
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9]{0,15}")
_FOREIGN_KEYS = ("aws:region", "aws:allowedAccountIds")
_MAX_REVIEWERS = 6
# `owner/name`, or `owner@ID/name@ID` where GitHub's tokens carry immutable ids in their subject.
_REPOSITORY = r"^([A-Za-z0-9-]+/[A-Za-z0-9._-]+|[A-Za-z0-9-]+@[0-9]+/[A-Za-z0-9._-]+@[0-9]+)$"
# A branch's name that is neither an option of git's nor a pattern of GitHub's.
_BRANCH = r"^[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}$"
# Characters ("Lambda quotas", https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
_FUNCTION_NAME = 64
# An alias can be pointed at another key, and grants speak of keys.
_KEY = r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]{1,128}$"
# What the trust of a role asks for, MFA and a user's name, only an IAM user has.
_USER = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:user/[A-Za-z0-9_+=,.@/-]{1,512}")
# A channel's name or id; empty: nothing is posted. How long it is is said apart: repeated eighty times, `\\w` takes the
# pattern's compiler longer than everything else here.
_CHANNEL = r"^(|#?[\w-]+)$"
_NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
# By what a project file is told from that of another program, whose settings may be called "prefix" or "alias", too.
_OWN = {"services", "leaseSeconds", "approval", "rto", "pace"}
# Keys of a stack file and of a project file that are Pulumi's own business, not configuration.
_STACK_KEYS = {"config", "secretsprovider", "encryptedkey", "encryptionsalt", "environment"}


# Up to a week.
Minutes = Annotated[int, Field(ge=1, le=7 * 24 * 60)]
# A word of a command: the system takes no NUL in it.
_Word = Annotated[str, Field(pattern=r"^[^\x00]*$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class ApprovalPolicies(_Model):
    """Which approval each kind needs: `none` runs at once, `confirm` asks the same person to confirm the
    shown plan, `identity` needs another person under the approver role.
    """

    aliases: Literal["none", "identity"]
    infrastructure: Literal["confirm", "identity"]
    table: Literal["identity"]
    expires_minutes: Minutes = 240


class Rto(_Model):
    """Time budgets in minutes, per scenario."""

    code: Minutes
    configuration: Minutes
    infrastructure: Minutes
    full: Minutes
    table: Minutes


class Pace(_Model):
    """Requests a second to Lambda: control-plane calls (`writes`) with their `burst`, and GetFunction
    (`reads`).

    `read_units` and `write_units` are DynamoDB's capacity units a second, for comparing tables and copying
    items back.
    """

    writes: Annotated[float, Field(gt=0, le=1000)]
    burst: Annotated[int, Field(ge=1, le=1000)]
    reads: Annotated[float, Field(gt=0, le=10000)]
    read_units: Annotated[float, Field(ge=1, le=1_000_000)] = 2000
    write_units: Annotated[float, Field(ge=1, le=1_000_000)] = 500


class People(_Model):
    """ARNs of IAM users that may take a role, with MFA.

    Nobody among the approvers deploys, is on call, or may break the glass: they are the second pair of eyes,
    before a rollback and after an emergency.
    """

    deployers: tuple[str, ...] = ()
    on_call: tuple[str, ...] = ()
    break_glass: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()

    @field_validator("deployers", "on_call", "break_glass", "approvers")
    @classmethod
    def _users(cls, people: tuple[str, ...]) -> tuple[str, ...]:
        for person in people:
            if not _USER.fullmatch(person):
                raise ValueError(f"'{person}' is not the ARN of an IAM user")
        return people

    @field_validator("approvers")
    @classmethod
    def _disjoint(cls, approvers: tuple[str, ...], info: Any) -> tuple[str, ...]:
        both = sorted(set(approvers) & set(info.data.get("on_call", ())))
        if both:
            raise ValueError(f"{', '.join(both)} is also on call: nobody approves their own rollback")
        both = sorted(set(approvers) & set(info.data.get("deployers", ())))
        if both:
            raise ValueError(f"{', '.join(both)} also deploys: nobody approves their own rollback")
        both = sorted(set(approvers) & set(info.data.get("break_glass", ())))
        if both:
            raise ValueError(
                f"{', '.join(both)} may also break the glass: nobody reviews their own emergency"
            )
        return approvers


class Reviewers(_Model):
    """Numeric GitHub ids of those who may approve in the approval environment.

    GitHub takes at most six ("Deployments and environments",
    https://docs.github.com/en/actions/reference/workflows-and-actions/deployments-and-environments). None
    given: the environments are not declared.
    """

    teams: tuple[int, ...] = ()
    users: tuple[int, ...] = ()

    @field_validator("users")
    @classmethod
    def _few(cls, users: tuple[int, ...], info: Any) -> tuple[int, ...]:
        if len(users) + len(info.data.get("teams", ())) > _MAX_REVIEWERS:
            raise ValueError(f"GitHub takes at most {_MAX_REVIEWERS} reviewers, teams and users together")
        return users


class TerraformChecks(_Model):
    """What must be there after a Terraform rollback: `tables` that are active, `apis` of which there is exactly one.

    Each by what follows `<prefix>-<environment>-` in its name; none where the configuration declares none.
    """

    tables: tuple[Annotated[str, Field(pattern=_NAME)], ...] = ()
    apis: tuple[Annotated[str, Field(pattern=_NAME)], ...] = ()


class Settings(_Model):
    """One environment, validated. Frozen; the same values for `pulumi up` and for the command.

    `audit_retention_days` is how long each object of the audit bucket is locked; `minimum_functions` how many
    functions an environment must have after a Terraform rollback, 0 where nobody counts them.
    """

    environment: Annotated[str, Field(pattern=_ENVIRONMENT.pattern)]
    account: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
    prefix: Annotated[str, Field(pattern=_NAME, max_length=20)]
    repository: Annotated[str, Field(pattern=_REPOSITORY)]
    protected_branch: Annotated[str, Field(pattern=_BRANCH)]
    alias: Annotated[str, Field(pattern=r"^[A-Za-z_-][A-Za-z0-9_-]{0,127}$")]
    services: Annotated[dict[str, tuple[str, ...]], Field(min_length=1)]
    rto: Rto
    pace: Pace
    lease_seconds: Annotated[int, Field(ge=2, le=3600)]
    smoke: tuple[_Word, ...]
    slack_channel: Annotated[str, Field(pattern=_CHANNEL, max_length=81)] = ""
    people: People
    reviewers: Reviewers = Reviewers()
    tables: Annotated[tuple[str, ...], Field(min_length=1)] = ("ddb-access-management",)
    holds_data: tuple[str, ...] = ()
    # KMS keys of this account: of the stack's secrets, if it has one, and of the tables that have their own.
    state_key: Annotated[str, Field(pattern=rf"^$|{_KEY}")] = ""
    table_keys: tuple[Annotated[str, Field(pattern=_KEY)], ...] = ()
    # "The maximum retention period is 100 years" (Amazon S3 User Guide, "Object Lock considerations",
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html).
    audit_retention_days: Annotated[int, Field(ge=1, le=36_500)] = 400
    minimum_functions: Annotated[int, Field(ge=0)] = 0
    terraform_checks: TerraformChecks = TerraformChecks()
    approval: ApprovalPolicies

    @field_validator("services")
    @classmethod
    def _catalogue(cls, services: dict[str, tuple[str, ...]], info: Any) -> dict[str, tuple[str, ...]]:
        names = Names(info.data.get("prefix", ""), info.data.get("environment", ""))
        owner: dict[str, str] = {}
        for service, tails in services.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", service):
                raise ValueError(f"'{service}' is no service name: lower-case letters, digits and _")
            if not tails:
                raise ValueError(f"service '{service}' has no function")
            for tail in tails:
                if not re.fullmatch(_NAME, tail):
                    raise ValueError(f"'{tail}' is no function name: lower-case letters, digits and -")
                if tail in owner:
                    raise ValueError(f"function '{tail}' stands in '{owner[tail]}' and in '{service}'")
                if len(names.function(tail)) > _FUNCTION_NAME:
                    raise ValueError(f"'{names.function(tail)}' is longer than {_FUNCTION_NAME} characters")
                owner[tail] = service
        return services

    @field_validator("tables")
    @classmethod
    def _restorable(cls, tables: tuple[str, ...], info: Any) -> tuple[str, ...]:
        names = Names(info.data.get("prefix", ""), info.data.get("environment", ""))
        for tail in tables:
            if not re.fullmatch(_NAME, tail):
                raise ValueError(f"'{tail}' is no table name: lower-case letters, digits and -")
            if names.table(tail) == names.deployments_table:
                raise ValueError(f"'{tail}' is the ledger: it is never restored over")
        return tables

    @property
    def restorable(self) -> tuple[str, ...]:
        """The full names of the tables that can be restored to a point in time."""
        return tuple(map(self.names.table, self.tables))

    @property
    def names(self) -> Names:
        return Names(self.prefix, self.environment)

    @property
    def repository_name(self) -> str:
        """`owner/name`, without the ids that a token's subject may carry."""
        return re.sub(r"@\d+", "", self.repository)

    def functions(self, service: str) -> tuple[str, ...]:
        """The full names of a service's functions, in the catalogue's order."""
        return tuple(self.names.function(tail) for tail in self.services[service])

    def catalogue(self) -> dict[str, str]:
        """Full function name → service, for every function of the environment."""
        return {function: service for service in self.services for function in self.functions(service)}

    def service(self, name: str) -> str:
        """`name` if the catalogue has that service.

        Raises `UsageError` naming the nearest one where it has not.
        """
        if name not in self.services:
            raise UsageError(
                # Letters of other alphabets look alike: they are shown as escapes.
                f"There is no service {name[:80]!a}.{_nearest(name, self.services)}",
                code=Code.UNKNOWN_SERVICE,
                next=f"Services: {', '.join(self.services)}.",
            )
        return name


def from_config(project: str, environment: str, config: Mapping[str, Any]) -> Settings:
    """The settings in `config`: full keys to values, e.g. `{"rollback:prefix": "bbws-access", "aws:region":
    "eu-west-1"}`.

    A structured value may be JSON text, as Pulumi passes it to a program. Raises `UsageError` for an unknown
    key or a value that does not fit.
    """
    known = {to_camel(name) for name in Settings.model_fields} - {"environment", "account", "region"}
    values: dict[str, Any] = {"environment": environment}
    for key, value in config.items():
        namespace, _, name = key.partition(":")
        if namespace == project:
            if name not in known:
                raise UsageError(
                    f"There is no setting '{key}'.{_nearest(name, known, prefix=f'{project}:')}",
                    code=Code.SETTINGS_INVALID,
                )
            values[name] = _decoded(Settings.model_fields, name, value)
        elif namespace == "aws" and key not in _FOREIGN_KEYS:
            raise UsageError(
                f"There is no setting '{key}'.{_nearest(key, _FOREIGN_KEYS)}", code=Code.SETTINGS_INVALID
            )
    accounts = _json(config.get("aws:allowedAccountIds"))
    if not isinstance(accounts, list) or len(accounts) != 1:
        raise UsageError(
            f"Environment '{environment}' must name exactly one account in aws:allowedAccountIds.",
            code=Code.SETTINGS_INVALID,
            next=f'In Pulumi.{environment}.yaml: aws:allowedAccountIds: ["123456789012"]',
        )
    values["account"], values["region"] = accounts[0], config.get("aws:region")
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise UsageError(
            f"Environment '{environment}' is not well configured: {_first(error, project)}",
            code=Code.SETTINGS_INVALID,
        ) from None


def load(root: Path, environment: str) -> Settings:
    """The settings of `environment` from the project in `root`.

    Raises `UsageError` where a file is missing, is no YAML, or does not fit the model.
    """
    project_text = safe_yaml.read(
        root / PROJECT_FILE, root, next="Run it inside a checkout of the platform's repository."
    )
    known = environments(root)
    if environment not in known:
        raise UsageError(
            f"There is no environment {environment[:80]!a}.{_nearest(environment, known)}",
            code=Code.UNKNOWN_ENVIRONMENT,
            next=f"Environments: {', '.join(known)}.",
        )
    stack_text = safe_yaml.read(root / f"Pulumi.{environment}.yaml", root)
    return parse(environment, project_text, stack_text)


@lru_cache(maxsize=8)
def parse(environment: str, project_text: str, stack_text: str) -> Settings:
    """The settings that the texts of the two files give (`load` without the files).

    The same texts, a checkout's and its protected branch's as a rule, are parsed once. Raises `UsageError` as
    `load` does.
    """
    project = _mapping(PROJECT_FILE, project_text)
    stack = _mapping(f"Pulumi.{environment}.yaml", stack_text)
    for key in stack:
        if key not in _STACK_KEYS:
            raise UsageError(
                f"Pulumi.{environment}.yaml: there is no key '{key}'.{_nearest(str(key), _STACK_KEYS)}",
                code=Code.SETTINGS_INVALID,
            )
    name = str(project.get("name", ""))
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
    return from_config(name, environment, config)


def environments(root: Path) -> list[str]:
    """The environments that the project in `root` has a file for; what cannot name one is passed over."""
    names = (path.name[len("Pulumi.") : -len(".yaml")] for path in root.glob("Pulumi.*.yaml"))
    return sorted(name for name in names if _ENVIRONMENT.fullmatch(name))


def find_root(start: Path) -> Path:
    """The nearest folder from `start` upwards whose `Pulumi.yaml` has this command's settings.

    That of another Pulumi program, in whose folder the command may be started, has none: it is passed over, unless
    there is no other. Raises `UsageError` where there is none at all.
    """
    found = [folder for folder in (start, *start.parents) if (folder / PROJECT_FILE).is_file()]
    if found:
        # Where there is one alone, nothing has to be read to find it.
        return found[0] if len(found) == 1 else next(filter(_has_settings, found), found[0])
    raise UsageError(
        f"There is no {PROJECT_FILE} here or in a folder above.",
        code=Code.NO_CHECKOUT,
        next="Run it inside a checkout of the platform's repository.",
    )


def _has_settings(folder: Path) -> bool:
    """Whether a project's file, or one of its stacks', configures what only this command has. A project file that
    cannot be read may: it says so when it is loaded.
    """
    try:
        project = _mapping(PROJECT_FILE, safe_yaml.read(folder / PROJECT_FILE, folder))
    except UsageError:
        return True
    keys = {str(key) for key in project.get("config") or {}}
    for path in folder.glob("Pulumi.*.yaml"):
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
            raise UsageError(f"{name}: {key!r} is no setting's name.", code=Code.SETTINGS_INVALID)
    return document


def _json(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _decoded(fields: Mapping[str, Any], name: str, value: Any) -> Any:
    """Structured values arrive as JSON text from the engine; plain text stays text."""
    field = next(info for key, info in fields.items() if to_camel(key) == name)
    return value if field.annotation is str else _json(value)


def _nearest(name: str, known: Any, prefix: str = "") -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{prefix}{close[0]}'?" if close else ""


def _first(error: ValidationError, project: str) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        owner: Any = Settings
        for part in first["loc"][:-1]:
            owner = next(i.annotation for k, i in owner.model_fields.items() if part in (k, to_camel(k)))
        name = str(first["loc"][-1])
        return f"there is no setting '{project}:{place}'.{_nearest(name, [to_camel(k) for k in owner.model_fields])}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{project}:{place}: {message}."
