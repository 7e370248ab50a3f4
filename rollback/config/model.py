"""What an environment is, as a model: `Settings`. `settings` reads it from the project's files.

Each field says in its description what it means and in its examples what a right value is: errors and
`docs/settings.md` are made from them.

It is longer than 400 lines: all of it is one table of settings.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from rollback.config.naming import (
    ACCOUNT,
    APPROVER,
    BREAK_GLASS,
    DEPLOYER,
    ENTRY,
    ENVIRONMENT,
    FOUNDATION,
    GITLAB_COM,
    PREFIX,
    ROLLBACK,
    Names,
    Templates,
    beginnings,
    is_like,
    permission_set_of,
)
from rollback.core.errors import Code, UsageError

# What a Pulumi stack is called and a bucket's name can hold, too.
ENVIRONMENT_NAME = re.compile(rf"(?=.{{1,40}}\Z)(?!(?:.*-)?{FOUNDATION}\Z)[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_MAX_REVIEWERS = 6
# `owner/name`, or `owner@ID/name@ID` where GitHub's tokens carry immutable ids in their subject; empty: no GitHub.
_REPOSITORY = r"^([A-Za-z0-9-]+/[A-Za-z0-9._-]+|[A-Za-z0-9-]+@[0-9]+/[A-Za-z0-9._-]+@[0-9]+|)$"
# "Reserved project and group names", https://docs.gitlab.com/user/reserved_names/#rules-for-usernames-project-and-group-names-and-slugs.
_GITLAB_PROJECT = re.compile(r"(?=.{1,255}\Z)[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")
# An identity provider has no port ("CreateOpenIDConnectProvider",
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html).
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")
# A branch's name that is neither an option of git's nor a pattern of GitHub's.
_BRANCH = r"^[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}$"
# "Lambda quotas", https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, and the pattern of
# CreateFunction's FunctionName, https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html.
_FUNCTION_NAME = 64
_FUNCTION = re.compile(r"[A-Za-z0-9_-]+")
# "Naming rules", https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html.
_TABLE_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_BUCKET_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
# "About requirements and constraints for parameter names",
# https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html.
_PATH = re.compile(r"(?!/(?i:aws|ssm))(?:/[A-Za-z0-9_.-]+){1,10}")
# What tells it in labels (`v1.2.0+team_service@v1.1.0`), keys of the ledger and lists with commas.
_SERVICE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_ENTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_TABLE_ENTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
# What `--services` takes for every service.
_ALL = "all"
# An alias can be pointed at another key, and grants speak of keys.
_KEY = r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]{1,128}$"
# What the trust of a role asks for, MFA and a user's name, only an IAM user has.
USER = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:user/[A-Za-z0-9_+=,.@/-]{1,512}")
# A channel's name or id; empty: nothing is posted. How long it is is said apart: repeated eighty times, `\\w` takes the
# pattern's compiler longer than everything else here.
_CHANNEL = r"^(|#?[\w-]+)$"
ALIAS = r"^[A-Za-z_-][A-Za-z0-9_-]{0,127}$"
NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
# "Name", https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateEventBus.html, without a partner's slash.
_BUS = r"^[A-Za-z0-9_.-]{0,256}$"
# "AlarmName", https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html; without what a list
# or a pattern would take for something else.
_ALARM = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:/#()+=@-]{0,254}")
# Below the project's folder: neither elsewhere nor an option.
_BELOW = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./{}-]*")
# S3's own word for a key that breaks nothing ("Creating object key names",
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html).
_OBJECT = r"^[A-Za-z0-9][A-Za-z0-9_./=-]{0,900}$"
_HOLE = re.compile(r"\{[^{}]*\}?|\}")

# Up to a week.
Minutes = Annotated[int, Field(ge=1, le=7 * 24 * 60)]
# A word of a command: the system takes no NUL in it.
_Word = Annotated[str, Field(pattern=r"^[^\x00]*$")]
_Command = tuple[_Word, ...]


class Problems(ValueError):
    """Several things that are wrong: the path of each, from the settings' top, and what it is."""

    def __init__(self, found: Iterable[tuple[tuple[str | int, ...], str]]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(message for _, message in self.found))


def _like(pattern: re.Pattern[str], what: str, *, empty: bool = False) -> Any:
    """Text that is `pattern` as a whole, or nothing where it may be `empty`."""

    def checked(text: str) -> str:
        if not pattern.fullmatch(text) and not (empty and not text):
            raise ValueError(f"'{text[:80]}' is no {what}")
        return text

    return AfterValidator(checked)


def _raise(found: list[tuple[tuple[str | int, ...], str]]) -> None:
    if found:
        raise Problems(found)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class ApprovalPolicies(_Model):
    """Which approval each kind needs: `none` runs at once, `confirm` asks the same person to confirm the
    shown plan, `identity` needs another person under the approver role.
    """

    aliases: Literal["none", "identity"] = Field(
        description="Moving aliases: `none` or `identity`", examples=["identity"]
    )
    infrastructure: Literal["confirm", "identity"] = Field(
        description="A stack, Terraform, a whole release: `confirm` or `identity`", examples=["confirm"]
    )
    table: Literal["confirm", "identity"] = Field(
        description="Restoring a table, and what functions use of it: `confirm` or `identity`",
        examples=["identity"],
    )
    expires_minutes: Minutes = Field(240, description="For how long an approval holds", examples=[240])


class Rto(_Model):
    """Time budgets in minutes, per scenario."""

    code: Minutes = Field(5, description="Aliases", examples=[5])
    configuration: Minutes = Field(5, description="A function's configuration", examples=[5])
    infrastructure: Minutes = Field(15, description="A stack, or Terraform", examples=[15])
    full: Minutes = Field(30, description="A whole release", examples=[30])
    table: Minutes = Field(60, description="A table", examples=[60])


class Pace(_Model):
    """Requests a second to Lambda: control-plane calls (`writes`) with their `burst`, and GetFunction
    (`reads`).

    `read_units` and `write_units` are DynamoDB's capacity units a second, for comparing tables and copying
    items back.
    """

    writes: Annotated[float, Field(gt=0, le=1000)] = Field(
        14.9, description="Calls of Lambda's control plane a second", examples=[14.9]
    )
    burst: Annotated[int, Field(ge=1, le=1000)] = Field(
        13, description="Of them at once; two are kept for calls that overtake others", examples=[13]
    )
    reads: Annotated[float, Field(gt=0, le=10000)] = Field(
        95, description="GetFunction calls a second", examples=[95]
    )
    read_units: Annotated[float, Field(ge=1, le=1_000_000)] = Field(
        2000, description="DynamoDB's read units a second, to compare tables", examples=[2000]
    )
    write_units: Annotated[float, Field(ge=1, le=1_000_000)] = Field(
        500, description="DynamoDB's write units a second, to copy items back", examples=[500]
    )


_USERS = ["arn:aws:iam::123456789012:user/alice"]


class People(_Model):
    """ARNs of IAM users that may take a role, with MFA.

    Nobody among the approvers deploys, is on call, or may break the glass: they are the second pair of eyes,
    before a rollback and after an emergency.
    """

    deployers: tuple[str, ...] = Field((), description="Who may take the deployer role", examples=[_USERS])
    on_call: tuple[str, ...] = Field(
        (), description="Who may take the rollback, restore and drill roles", examples=[_USERS]
    )
    break_glass: tuple[str, ...] = Field(
        (), description="Who may take the break-glass role, in an emergency", examples=[_USERS]
    )
    approvers: tuple[str, ...] = Field(
        (),
        description="Who may take the approver role; they are in none of the other lists",
        examples=[_USERS],
    )

    @field_validator("deployers", "on_call", "break_glass", "approvers")
    @classmethod
    def _users(cls, people: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        place = ("people", to_camel(str(info.field_name)))
        _raise(
            [
                ((*place, number), f"'{person}' is not the ARN of an IAM user")
                for number, person in enumerate(people)
                if not USER.fullmatch(person)
            ]
        )
        return people

    @field_validator("approvers")
    @classmethod
    def _disjoint(cls, approvers: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for field, does in (
            ("on_call", "is also on call: nobody approves their own rollback"),
            ("deployers", "also deploys: nobody approves their own rollback"),
            ("break_glass", "may also break the glass: nobody reviews their own emergency"),
        ):
            both = sorted(set(approvers) & set(info.data.get(field, ())))
            if both:
                raise ValueError(f"{', '.join(both)} {does}")
        return approvers


# "PermissionSet", https://docs.aws.amazon.com/singlesignon/latest/APIReference/API_PermissionSet.html.
_PermissionSet = Annotated[str, Field(pattern=r"^([A-Za-z0-9+=,.@_-]{1,32}|)$")]


class PermissionSets(_Model):
    """Names of permission sets of IAM Identity Center, by which people do the work of a role without taking it.

    A person is who their session is named after, which Identity Center makes their user name. Each set is of its own:
    who holds two of them could approve what they ask for, under another name of theirs.
    """

    deployers: _PermissionSet = Field(
        "", description="The set of those who deploy", examples=["OrdersDeploy"]
    )
    on_call: _PermissionSet = Field(
        "", description="The set of those who roll back, and restore tables", examples=["OrdersOnCall"]
    )
    break_glass: _PermissionSet = Field(
        "", description="The set of those who break the glass, in an emergency", examples=["OrdersBreakGlass"]
    )
    approvers: _PermissionSet = Field(
        "", description="The set of those who approve", examples=["OrdersApprove"]
    )

    @field_validator("on_call", "break_glass", "approvers")
    @classmethod
    def _own(cls, name: str, info: ValidationInfo) -> str:
        if name and (other := next((to_camel(field) for field, one in info.data.items() if one == name), "")):
            raise ValueError(f"'{name}' is also the set of {other}: each has its own")
        return name

    @property
    def of_roles(self) -> dict[str, str]:
        """Role (`naming.BY_PERMISSION_SET`) → its set, where it has one."""
        every = {
            DEPLOYER: self.deployers,
            ROLLBACK: self.on_call,
            APPROVER: self.approvers,
            BREAK_GLASS: self.break_glass,
        }
        return {role: name for role, name in every.items() if name}


class Reviewers(_Model):
    """Numeric GitHub ids of those who may approve in the approval environment.

    GitHub takes at most six ("Deployments and environments",
    https://docs.github.com/en/actions/reference/workflows-and-actions/deployments-and-environments). None
    given: the environments are not declared.
    """

    teams: tuple[int, ...] = Field((), description="Teams", examples=[[7]])
    users: tuple[int, ...] = Field(
        (), description="Users (`gh api users/NAME --jq .id`)", examples=[[583231]]
    )

    @field_validator("users")
    @classmethod
    def _few(cls, users: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if len(users) + len(info.data.get("teams", ())) > _MAX_REVIEWERS:
            raise ValueError(f"GitHub takes at most {_MAX_REVIEWERS} reviewers, teams and users together")
        return users


class GitLab(_Model):
    """The GitLab projects whose jobs may take the roles.

    The subject of a job's token says its project and its branch, and no more: AWS cannot tell a reviewed job from
    another, nor an environment's from another's. So the approver role is for the jobs of a project of its own.
    https://docs.gitlab.com/ci/secrets/id_token_authentication/#token-payload
    """

    project: Annotated[str, _like(_GITLAB_PROJECT, "path of a GitLab project")] = Field(
        description="The project whose jobs on the protected branch may take all roles but the approver's",
        examples=["acme/orders"],
    )
    approvals: Annotated[str, _like(_GITLAB_PROJECT, "path of a GitLab project", empty=True)] = Field(
        "",
        description="The project whose jobs on the protected branch may take the approver role: another one, to which "
        "nobody may push who deploys or is on call. Empty: no job approves, people do",
        examples=["acme/approvals"],
    )
    host: Annotated[str, _like(_HOST, "host name")] = Field(
        GITLAB_COM, description="Where GitLab is, as its tokens name it", examples=["gitlab.example.com"]
    )
    project_id: Annotated[int, Field(ge=0)] = Field(
        0,
        description="The number of `project`, which stays when its path is given away. 0: AWS does not ask for it",
        examples=[4711],
    )
    approvals_id: Annotated[int, Field(ge=0)] = Field(
        0, description="The same of `approvals`", examples=[4712]
    )

    @field_validator("approvals")
    @classmethod
    def _another(cls, approvals: str, info: ValidationInfo) -> str:
        if approvals and approvals.casefold() == str(info.data.get("project", "")).casefold():
            raise ValueError(
                "it is the project itself: AWS cannot tell its jobs apart, and any could approve"
            )
        return approvals

    @field_validator("project_id", "approvals_id")
    @classmethod
    def _asked(cls, number: int, info: ValidationInfo) -> int:
        if number and info.data.get("host", GITLAB_COM) != GITLAB_COM:
            raise ValueError(f"AWS can ask for it on {GITLAB_COM} only")
        return number


class Terraform(_Model):
    """Where a Terraform (OpenTofu) configuration is, and its state where the configuration's own backend leaves it
    open.
    """

    folder: Annotated[str, _like(_BELOW, "folder below this one")] = Field(
        "terraform", description="The configuration's folder, below this project's", examples=["infra"]
    )
    variables: Annotated[str, _like(_BELOW, "file below it", empty=True)] = Field(
        "",
        description="The file with the environment's values, below the configuration's folder; `{environment}` is "
        "its name. Empty: none",
        examples=["environments/{environment}.tfvars"],
    )
    key: Annotated[str, Field(pattern=_OBJECT)] = Field(
        "terraform.tfstate",
        description="The state's key in its bucket, where the configuration's backend does not say",
        examples=["orders/terraform.tfstate"],
    )
    bucket: Annotated[str, _like(_BUCKET_NAME, "name of a bucket", empty=True)] = Field(
        "",
        description="The state's bucket, where the configuration's backend does not say, or names this one. Empty: "
        "`naming.stateBucket`",
        examples=["acme-terraform-state"],
    )

    def values(self, environment: str) -> str:
        """The path of the environment's values below the configuration's folder; empty where it has none."""
        return self.variables.replace(ENVIRONMENT, environment)


class Guard(_Model):
    """Alarms on every function's alias, and a function that takes the way back that is on standby when one fires.

    A threshold of 0 declares no alarm. Each is reached within a minute, `minutes` times in a row.
    """

    errors: Annotated[int, Field(ge=0)] = Field(
        5, description="Errors of a function's alias in a minute. 0: no such alarm", examples=[5]
    )
    duration_ms: Annotated[int, Field(ge=0, le=900_000)] = Field(
        0,
        description="Milliseconds that one call in a hundred takes longer (p99). 0: no such alarm",
        examples=[3000],
    )
    throttles: Annotated[int, Field(ge=0)] = Field(
        0, description="Throttled calls in a minute. 0: no such alarm", examples=[10]
    )
    minutes: Annotated[int, Field(ge=1, le=60)] = Field(
        1, description="For how many minutes in a row, before the alarm fires", examples=[2]
    )
    package: Annotated[str, _like(_BELOW, "file below this folder")] = Field(
        "guard.zip",
        description="The function's package, which `rollback guard build` makes, below this project's folder",
        examples=["build/guard.zip"],
    )
    smoke: str = Field(
        "",
        description="The function of the catalogue whose alias the guard invokes to prove the release healthy: any "
        "answer but an error is. Empty: the record says that it was not smoke-tested",
        examples=["team-service-get"],
    )
    timeout_seconds: Annotated[int, Field(ge=60, le=900)] = Field(
        300,
        description="After how long the function is ended. Before that it stops in good order, and its next try goes on",
        examples=[300],
    )
    recovery_minutes: Annotated[int, Field(ge=1, le=1440)] = Field(
        10,
        description="How long after its rollback it reports whether the alarm has recovered",
        examples=[10],
    )

    @property
    def thresholds(self) -> dict[str, int]:
        """Metric (`errors`, `duration`, `throttles`) → threshold, of those that have an alarm."""
        found = {"errors": self.errors, "duration": self.duration_ms, "throttles": self.throttles}
        return {metric: threshold for metric, threshold in found.items() if threshold}


class TerraformChecks(_Model):
    """What must be there after a Terraform rollback: `tables` that are active, `apis` of which there is exactly one.

    The deployer may make and change these, and no others.
    """

    tables: tuple[Annotated[str, Field(pattern=NAME)], ...] = Field(
        (), description="Tables that are active, as `naming.table` names them", examples=[["orders"]]
    )
    apis: tuple[Annotated[str, Field(pattern=NAME)], ...] = Field(
        (),
        description="REST APIs of which there is exactly one, as `naming.api` names them",
        examples=[["api"]],
    )


def _template(*holes: str, needs: str = "") -> Any:
    """Text with these placeholders at most, of which it must have `needs`."""

    def checked(text: str) -> str:
        if wrong := [hole for hole in _HOLE.findall(text) if hole not in holes]:
            raise ValueError(f"'{wrong[0]}' is no placeholder; there are {', '.join(holes)}")
        if needs and text.count(needs) != 1:
            raise ValueError(f"'{text}' must have {needs} once")
        return text

    return AfterValidator(checked)


_OF_ENVIRONMENT = (PREFIX, ENVIRONMENT)
_Listed = Annotated[str, _template(*_OF_ENVIRONMENT, ENTRY, needs=ENTRY)]
_Single = Annotated[str, _template(*_OF_ENVIRONMENT)]
_DEFAULT = Templates()


class Naming(_Model):
    """What things are called: text with `{prefix}`, `{environment}` and, where it is of many, `{entry}`."""

    function: _Listed = Field(
        _DEFAULT.function,
        description="A function whose service lists it without a name of its own",
        examples=["{prefix}-{environment}-{entry}"],
    )
    table: _Listed = Field(
        _DEFAULT.table,
        description="A table that is listed without a name of its own",
        examples=["{entry}-{environment}"],
    )
    api: _Listed = Field(
        _DEFAULT.api, description="A REST API of `terraformChecks`", examples=["{entry}-{environment}"]
    )
    parameters: _Single = Field(
        _DEFAULT.parameters,
        description="The path of this tool's parameters in Systems Manager",
        examples=["/deployments/{prefix}/{environment}"],
    )
    ledger: _Single = Field(
        _DEFAULT.ledger,
        description="The table of releases and rollbacks",
        examples=["{prefix}-{environment}-ledger"],
    )
    state_bucket: _Single = Field(
        _DEFAULT.state_bucket,
        description="The bucket of the stack's state, of saved plans and of loss reports",
        examples=["{prefix}-{environment}-pulumi"],
    )
    foundation_bucket: _Single = Field(
        _DEFAULT.foundation_bucket,
        description="The bucket of the foundation's state, which is an administrator's alone",
        examples=["{prefix}-{environment}-admin-pulumi"],
    )
    audit_bucket: Annotated[str, _template(*_OF_ENVIRONMENT, ACCOUNT)] = Field(
        _DEFAULT.audit_bucket,
        description="The bucket that keeps what the ledger had; `{account}` is the account's number",
        examples=["{prefix}-{environment}-audit-{account}"],
    )


class FunctionAccess(_Model):
    """How the roles' policies speak of functions: one by one, by the beginning of their names, or by a tag."""

    by: Literal["auto", "listed", "tag", "prefix"] = Field(
        "auto",
        description="`listed`: each by its ARN. `prefix`: all whose names begin so, listed here or not. `tag`: all "
        "that carry `tag`. `auto`: listed as long as IAM's limits hold it (about 280 functions), else by tag where "
        "there is one, else by prefix",
        examples=["prefix"],
    )
    prefixes: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{3,}$")], ...] = Field(
        (),
        description="What functions' names begin with. None: what those of each service have in common",
        examples=[["orders-prod-"]],
    )
    tag: dict[str, str] = Field(
        {},
        description="A tag that functions carry, and its value; several: all of them",
        examples=[{"team": "orders"}],
        validate_default=True,
    )

    @field_validator("tag")
    @classmethod
    def _needed(cls, tag: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if info.data.get("by") == "tag" and not tag:
            raise ValueError("'by: tag' needs one")
        if any(not re.fullmatch(r"[\w .:/=+@-]{1,128}", key) or not value for key, value in tag.items()):
            raise ValueError("a tag has a key and a value")
        return tag


class Automatic(_Model):
    """Whether an alarm takes what is on standby, without a person: by the guard, and by `rollback watch`.

    In production, and wherever aliases need another person's approval, only what another person has approved.
    """

    takes: bool = Field(
        False,
        description="Whether an alarm may take what is on standby",
        examples=[True],
        validate_default=True,
    )
    alarms: tuple[Annotated[str, _like(_ALARM, "name of an alarm")], ...] = Field(
        (),
        description="CloudWatch alarms that may, by name, beside those that the guard declares",
        examples=[["orders-5xx"]],
    )
    services: tuple[str, ...] = Field(
        (), description="Services whose guard's alarms may. None: all", examples=[["orders"]]
    )
    bake: Minutes = Field(
        30,
        description="For how many minutes after a release an alarm that turns red may",
        examples=[30],
    )


# What the smoke command may differ for.
SmokeOf = Literal["aliases", "stack", "terraform", "full", "table"]
# Filled in, by whether it is production, before it is validated.
_COMPLETED: Any = {}
_Entries = dict[str, dict[str, str]]
_COMMAND = ["python", "-m", "pytest", "-q", "tests/smoke"]


class Settings(_Model):
    """One environment, validated. Frozen; the same values for `pulumi up` and for the command.

    `services` and `tables` have every entry's full name: `{"orders": {"GetOrder": "orders-GetOrder-1A2B3C"}}` and
    `{"orders": "orders-OrdersTable-9Z8Y"}`.
    """

    environment: Annotated[str, _like(ENVIRONMENT_NAME, "name of an environment")]
    account: Annotated[str, Field(pattern=r"^[0-9]{12}$")] = Field(
        description="The environment's account, `aws:allowedAccountIds`", examples=[["123456789012"]]
    )
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")] = Field(
        description="Its region, `aws:region`", examples=["eu-central-1"]
    )
    prefix: Annotated[str, Field(pattern=NAME)] = Field(
        description="What the names of all that this tool declares begin with", examples=["acme"]
    )
    production: bool = Field(
        True,
        description="Whether people depend on it. There are no drills then, `--yes` does not confirm a plan, and "
        "another person approves, unless `unattended` and `approval` say otherwise",
        examples=[False],
    )
    naming: Naming = Field(
        Naming(), description="What things are called; each is text with placeholders", validate_default=True
    )
    repository: Annotated[str, Field(pattern=_REPOSITORY)] = Field(
        "",
        description="The GitHub repository whose environments may take the roles: `owner/name`, or "
        "`owner@ID/name@ID` where its tokens have immutable subjects. Empty: no GitHub",
        examples=["acme/orders"],
    )
    gitlab: GitLab | None = Field(
        None,
        description="The GitLab projects whose jobs may take the roles. None: no GitLab",
        examples=[{"project": "acme/orders", "approvals": "acme/approvals"}],
    )
    protected_branch: Annotated[str, Field(pattern=_BRANCH)] = Field(
        "main",
        description="The branch whose settings count, and whose commits can be rolled back to",
        examples=["main"],
    )
    alias: Annotated[str, Field(pattern=ALIAS)] = Field(
        description="The alias that callers invoke, on every function", examples=["live"]
    )
    declare_aliases: bool = Field(
        True,
        description="Whether the stack makes the alias of each function. `false` where what deploys the functions makes "
        "it: SAM's `AutoPublishAlias`, CDK's `Alias`",
        examples=[False],
    )
    services: _Entries = Field(
        description="The catalogue: service → its functions, listed as entries of `naming.function`, or each with "
        "its full name",
        examples=[{"orders": {"GetOrder": "orders-GetOrderFunction-1A2B3C4D5E6F"}}],
    )
    cloudformation_stacks: tuple[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,127}$")], ...] = (
        Field(
            (),
            description="The CloudFormation stacks that deploy functions (SAM, CDK, templates), which the roles may read "
            "then: `can` says whether they keep versions, `release record --from-stack` reads what they have deployed",
            examples=[["orders-production"]],
        )
    )
    function_access: FunctionAccess = Field(
        FunctionAccess(), description="How the roles' policies speak of functions"
    )
    rto: Rto = Field(Rto(), description="The time budget of each scenario, in minutes")
    pace: Pace = Field(Pace(), description="Calls a second, below the quotas of account and region")
    lease_seconds: Annotated[int, Field(ge=2, le=3600)] = Field(
        60, description="How long a lease outlives its holder's last sign of life", examples=[60]
    )
    smoke: dict[SmokeOf, _Command] = Field(
        {},
        description="The command that proves a release healthy, run with TEST_ENVIRONMENT set; or one for each of "
        "`aliases`, `stack`, `terraform`, `full` and `table`. `python` is this command's own. None: nothing is run",
        examples=[_COMMAND, {"aliases": ["./smoke.sh"]}],
    )
    slack_channel: Annotated[str, Field(pattern=_CHANNEL, max_length=81)] = Field(
        "",
        description="Where rollbacks are posted on Slack; the bot's token, or a webhook's address, is in the "
        "SecureString `slack` below `naming.parameters`. Empty: nowhere",
        examples=["#deployments"],
    )
    event_bus: Annotated[str, Field(pattern=_BUS)] = Field(
        "",
        description="The EventBridge bus of this account and region that gets each rollback's end: `default`, or another's "
        "name. Empty: none",
        examples=["default"],
    )
    people: People = Field(People(), description="ARNs of IAM users who may take a role, with MFA")
    permission_sets: PermissionSets = Field(
        PermissionSets(),
        description="The permission sets of IAM Identity Center by which people act, beside the users of `people` or "
        "in their place; each refers to the policies that the foundation's stack exports as `permissionSets`",
    )
    reviewers: Reviewers = Field(
        Reviewers(),
        description="Numeric GitHub ids of those who approve; with these and github:owner the GitHub environments "
        "are declared",
    )
    tables: dict[str, str] = Field(
        {},
        description="The tables that can be restored to a point in time: a list of entries of `naming.table`, or "
        "each with its full name. None: nothing is declared for it",
        examples=[{"orders": "orders-OrdersTable-1A2B3C4D5E6F"}],
        validate_default=True,
    )
    holds_data: tuple[str, ...] = Field(
        (),
        description="Kinds of resources that no rollback deletes or replaces unless it is named, beside those known; "
        "as Terraform calls them without the provider",
        examples=[["dynamodb_table"]],
    )
    state_key: Annotated[str, Field(pattern=rf"^$|{_KEY}")] = Field(
        "",
        description="The KMS key of the stack's secrets, which the deployer may use. Empty: it has a passphrase",
        examples=["arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"],
    )
    table_keys: tuple[Annotated[str, Field(pattern=_KEY)], ...] = Field(
        (),
        description="The KMS keys of tables that have keys of their own, which DynamoDB may use where one is restored",
        examples=[["arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"]],
    )
    # "The maximum retention period is 100 years" (Amazon S3 User Guide, "Object Lock considerations",
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html).
    audit_retention_days: Annotated[int, Field(ge=1, le=36_500)] = Field(
        400,
        description="For how many days nobody, the account's root included, can delete what the audit trail keeps",
        examples=[400],
    )
    terraform: Terraform | None = Field(
        None,
        description="The Terraform configuration. None: nothing is declared for it",
        examples=[{"folder": "infra"}],
    )
    terraform_checks: TerraformChecks = Field(
        TerraformChecks(), description="What must be there after a Terraform rollback"
    )
    guard: Guard | None = Field(
        None,
        description="Alarms, and the function that takes a way back on standby for one. None: nothing is declared for "
        "it, and nothing is rolled back without a person",
        examples=[{"errors": 5}],
    )
    minimum_functions: Annotated[int, Field(ge=0)] = Field(
        0,
        description="How many functions there are at least after a Terraform rollback. 0: nobody counts them",
        examples=[40],
    )
    approval: ApprovalPolicies = Field(
        _COMPLETED,
        description="Who says yes, for each kind: nobody (`none`), the same person who sees the plan (`confirm`), "
        "another person (`identity`). In production `identity`, elsewhere `none` for aliases and `confirm`",
        validate_default=True,
    )
    unattended: bool | None = Field(
        None,
        description="Whether `--yes` confirms a plan that nobody has seen. Where it is not set: outside production",
        examples=[True],
    )

    automatic: Automatic = Field(
        Automatic(), description="Whether an alarm takes what is on standby, without a person"
    )

    @field_validator("automatic")
    @classmethod
    def _of_the_catalogue(cls, automatic: Automatic, info: ValidationInfo) -> Automatic:
        known = info.data.get("services", {})
        _raise(
            [
                (
                    ("automatic", "services", number),
                    f"there is no service '{name}' among the services.{nearest(name, known)}",
                )
                for number, name in enumerate(automatic.services)
                if known and name not in known
            ]
        )
        return automatic

    @field_validator("naming")
    @classmethod
    def _names(cls, naming: Naming, info: ValidationInfo) -> Naming:
        names, account = _names_of(info, naming), str(info.data.get("account", "0" * 12))
        if not (names.prefix and names.environment):
            return naming
        found: list[tuple[tuple[str | int, ...], str]] = [
            (("naming", to_camel(template)), sentence)
            if template
            else (("prefix",), f"{sentence}: shorten the prefix or the environment's name")
            for template, sentence in names.too_long(account)
        ]
        for field, name, pattern in (
            ("stateBucket", names.state_bucket, _BUCKET_NAME),
            ("foundationBucket", names.foundation_bucket, _BUCKET_NAME),
            ("auditBucket", names.audit_bucket(account), _BUCKET_NAME),
            ("ledger", names.deployments_table, _TABLE_NAME),
            ("parameters", names.parameter_path, _PATH),
        ):
            if not pattern.fullmatch(name):
                found.append((("naming", field), f"'{name}' is no name that AWS takes"))
        _raise(found)
        return naming

    @field_validator("services", mode="before")
    @classmethod
    def _catalogue(cls, services: Any, info: ValidationInfo) -> Any:
        names, top = _names_of(info), "services"
        found: list[tuple[tuple[str | int, ...], str]] = []
        owner: dict[str, str] = {}
        made: _Entries = {}
        if not isinstance(services, Mapping) or not services:
            raise ValueError("it must be a mapping with a service at least")
        for service, listed in services.items():
            if not _SERVICE.fullmatch(str(service)) or service == _ALL:
                found.append(
                    (
                        (top, service),
                        f"'{service}' is no service name: letters, digits, _ and -, and not '{_ALL}'",
                    )
                )
                continue
            made[service] = {}
            for place, entry, name in _entries((top, service), listed, names.function, found):
                if not _ENTRY.fullmatch(entry) or not _FUNCTION.fullmatch(name):
                    found.append((place, f"'{entry}' is no function name: letters, digits, - and _"))
                elif len(name) > _FUNCTION_NAME:
                    found.append((place, f"'{name}' is longer than {_FUNCTION_NAME} characters"))
                elif (twice := next((one for one in (entry, name) if one in owner), None)) is not None:
                    found.append((place, f"function '{twice}' is in '{owner[twice]}' and in '{service}'"))
                else:
                    owner |= {entry: service, name: service}
                    made[service][entry] = name
            if not made[service] and not any(path[:2] == (top, service) for path, _ in found):
                found.append(((top, service), f"service '{service}' has no function"))
        found += [
            ((top, service), f"'{service}' is a service and a function of '{owner[service]}'")
            for service in made
            # Where entry and service are called alike, the function's full name tells them apart.
            if service in {name for functions in made.values() for name in functions.values()}
        ]
        _raise(found)
        return made

    @field_validator("tables", mode="before")
    @classmethod
    def _restorable(cls, tables: Any, info: ValidationInfo) -> Any:
        names, found, made = _names_of(info), list[tuple[tuple[str | int, ...], str]](), dict[str, str]()
        for place, entry, name in _entries(("tables",), tables, names.table, found):
            if not _TABLE_ENTRY.fullmatch(entry) or not _TABLE_NAME.fullmatch(name):
                found.append((place, f"'{entry}' is no table name: letters, digits, '-', '_' and '.'"))
            elif name == names.deployments_table:
                found.append((place, f"'{entry}' is the ledger: it is never restored over"))
            else:
                made[entry] = name
        _raise(found)
        return made

    @field_validator("guard")
    @classmethod
    def _watching(cls, guard: Guard | None, info: ValidationInfo) -> Guard | None:
        if guard is None:
            return guard
        if not guard.thresholds:
            raise ValueError("it needs a threshold at least")
        functions = [one for listed in info.data.get("services", {}).values() for one in listed.items()]
        if guard.smoke and not any(guard.smoke in one for one in functions):
            _raise([(("guard", "smoke"), f"'{guard.smoke}' is no function of the catalogue")])
        return guard

    @field_validator("function_access")
    @classmethod
    def _covering(cls, access: FunctionAccess, info: ValidationInfo) -> FunctionAccess:
        patterns = [f"{prefix}*" for prefix in access.prefixes]
        if patterns:
            _raise(
                [
                    (("functionAccess", "prefixes"), f"'{name}' begins with none of them")
                    for functions in info.data.get("services", {}).values()
                    for name in functions.values()
                    if not is_like(name, patterns)
                ]
            )
        return access

    @field_validator("smoke", mode="before")
    @classmethod
    def _of_all(cls, smoke: Any) -> Any:
        if not isinstance(smoke, list | tuple):
            return smoke
        # Here, where it is one command yet: each of its words is wrong once.
        texts = [isinstance(word, str) and "\0" not in word for word in smoke]
        _raise([(("smoke", place), "it must be text") for place, is_text in enumerate(texts) if not is_text])
        return dict.fromkeys(get_args(SmokeOf), smoke)

    @field_validator("approval", mode="before")
    @classmethod
    def _completed(cls, approval: Any, info: ValidationInfo) -> Any:
        if not isinstance(approval, Mapping):
            return approval
        usual = ("identity",) * 3 if info.data.get("production", True) else ("none", "confirm", "confirm")
        return {**dict(zip(("aliases", "infrastructure", "table"), usual, strict=True)), **approval}

    @field_validator("approval")
    @classmethod
    def _given_by_somebody(cls, approval: ApprovalPolicies, info: ValidationInfo) -> ApprovalPolicies:
        data = info.data
        asked = [
            field
            for field in ("aliases", "infrastructure", "table")
            if getattr(approval, field) == "identity"
        ]
        known = "people" in data and "permission_sets" in data and "gitlab" in data
        nobody = (
            known
            and not (data["people"].approvers or data["permission_sets"].approvers)
            and data.get("repository") == ""
            and not (data["gitlab"] and data["gitlab"].approvals)
        )
        if nobody and not (asked == ["table"] and not data.get("tables")):
            _raise(
                [
                    (
                        ("approval", field),
                        "nobody could approve it: name people.approvers, permissionSets.approvers, a repository or gitlab.approvals, or let the same person do",
                    )
                    for field in asked
                    if field != "table" or data.get("tables")
                ]
            )
        return approval

    @property
    def names(self) -> Names:
        return Names(self.prefix, self.environment, Templates(**self.naming.model_dump()))

    @property
    def drills(self) -> bool:
        """Whether what is bad may be deployed here on purpose."""
        return not self.production

    @property
    def confirmed_unseen(self) -> bool:
        """Whether `--yes` confirms a plan that somebody only has to confirm."""
        return not self.production if self.unattended is None else self.unattended

    @property
    def alarms(self) -> tuple[str, ...]:
        """The names of the alarms that may take what is on standby: the guard's, one a service, and those listed."""
        own = self.automatic.services or tuple(self.services)
        return (*(self.names.alarm(service) for service in own), *self.automatic.alarms)

    @property
    def approvals(self) -> bool:
        """Whether anything needs another person's approval."""
        asked = {
            self.approval.aliases,
            self.approval.infrastructure,
            self.approval.table if self.tables else "",
        }
        return "identity" in asked

    @property
    def names_approvers(self) -> bool:
        """Whether the settings say who approves."""
        reviewers = self.reviewers
        return bool(
            self.people.approvers or self.permission_sets.approvers or reviewers.users or reviewers.teams
        )

    def acts_as(self, name: str, role: str) -> bool:
        """Whether the IAM role `name` is the one of `role` (a word of `naming`), or that of its permission set."""
        permission_set = self.permission_sets.of_roles.get(role)
        return name == self.names.role(role) or (
            permission_set is not None and permission_set_of(name) == permission_set
        )

    def called(self, role: str) -> str:
        """What a person acts under who does the work of `role`, as messages name it."""
        permission_set = self.permission_sets.of_roles.get(role)
        return self.names.role(role) + (f" or the permission set {permission_set}" if permission_set else "")

    @property
    def restorable(self) -> tuple[str, ...]:
        """The full names of the tables that can be restored to a point in time."""
        return tuple(self.tables.values())

    @property
    def repository_name(self) -> str:
        """`owner/name`, without the ids that a token's subject may carry."""
        return re.sub(r"@\d+", "", self.repository)

    def functions(self, service: str) -> tuple[str, ...]:
        """The full names of a service's functions, in the catalogue's order."""
        return tuple(self.services[service].values())

    def catalogue(self) -> dict[str, str]:
        """Full function name → service, for every function of the environment."""
        return {function: service for service in self.services for function in self.functions(service)}

    def entries(self) -> dict[str, str]:
        """Entry → full function name, for every function of the environment."""
        return {entry: name for functions in self.services.values() for entry, name in functions.items()}

    def function(self, typed: str) -> str:
        """The full name of the function that somebody means by its entry or by its name; `typed` if there is none."""
        return typed if typed in self.catalogue() else self.entries().get(typed, typed)

    def service(self, name: str) -> str:
        """`name` if the catalogue has that service.

        Raises `UsageError` naming the nearest one where it has not.
        """
        if name not in self.services:
            raise UsageError(
                # Letters of other alphabets look alike: they are shown as escapes.
                f"There is no service {name[:80]!a}.{nearest(name, self.services)}",
                code=Code.UNKNOWN_SERVICE,
                next=f"Services: {', '.join(self.services)}.",
            )
        return name

    @property
    def alike(self) -> tuple[str, ...]:
        """What the names of the environment's functions are like, catalogued or not (`naming.beginnings`)."""
        if self.function_access.prefixes:
            return tuple(f"{prefix}*" for prefix in self.function_access.prefixes)
        return beginnings(map(self.functions, self.services), self.names.function_prefix)


def nearest(name: str, known: Iterable[str], prefix: str = "", least: float = 0.5) -> str:
    """` Did you mean 'X'?`, or nothing where none is alike by `least` (of 1)."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=least)
    return f" Did you mean '{prefix}{close[0]}'?" if close else ""


def _names_of(info: ValidationInfo, naming: Naming | None = None) -> Names:
    """The names as far as the fields before are right."""
    templates = naming or info.data.get("naming") or Naming()
    return Names(
        info.data.get("prefix", ""), info.data.get("environment", ""), Templates(**templates.model_dump())
    )


def _entries(
    top: tuple[str | int, ...],
    listed: Any,
    named: Any,
    found: list[tuple[tuple[str | int, ...], str]],
) -> Iterable[tuple[tuple[str | int, ...], str, str]]:
    """Path, entry and full name of each of a list (by template) or a mapping (entry → full name)."""
    if isinstance(listed, Mapping):
        pairs = [((*top, key), key, name) for key, name in listed.items()]
    elif isinstance(listed, list | tuple):
        pairs = [((*top, number), entry, None) for number, entry in enumerate(listed)]
    else:
        found.append((top, "it must be a list of entries, or a mapping of entries to full names"))
        return
    for place, entry, name in pairs:
        if not isinstance(entry, str) or not isinstance(name, str | None):
            found.append((place, "an entry and its full name are text"))
        else:
            yield place, entry, named(entry) if name is None else name
