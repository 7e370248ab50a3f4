"""The model of an environment's settings, `Settings`. `settings` reads it from the project's files.

Each field has a description and examples of valid values: errors and
`docs/settings.md` are made from them.

It is longer than 400 lines: it is one table of settings, with their dependencies.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from rollback.config.naming import Names, Templates, beginnings, is_like, permission_set_of
from rollback.config.patterns import (
    ALIAS,
    BRANCH,
    BUCKET_NAME,
    BUS_NAME,
    CHANNEL,
    ENTRY_NAME,
    ENVIRONMENT_NAME,
    FUNCTION,
    KMS_KEY,
    LONGEST_FUNCTION,
    NAME,
    PARAMETER_PATH,
    REPOSITORY,
    SERVICE,
    TABLE_ENTRY,
    TABLE_NAME,
    Command,
    Section,
    like,
    raise_found,
)
from rollback.config.people import ApprovalPolicies, GitLab, People, PermissionSets, Reviewers
from rollback.config.sections import (
    Automatic,
    FunctionAccess,
    Guard,
    Naming,
    Pace,
    Rto,
    Terraform,
    TerraformChecks,
)
from rollback.util.errors import Code, UsageError

# The value of `--services` for every service.
_ALL = "all"
# The kinds that may have their own smoke command.
SmokeOf = Literal["aliases", "stack", "terraform", "full", "table"]
# Defaults, by `production`, filled in before validation.
_COMPLETED: Any = {}
_Entries = dict[str, dict[str, str]]
_COMMAND = ["python", "-m", "pytest", "-q", "tests/smoke"]


class Settings(Section):
    """One environment, validated. Frozen; the same values for `pulumi up` and for the command.

    `services` and `tables` have every entry's full name: `{"orders": {"GetOrder": "orders-GetOrder-1A2B3C"}}` and
    `{"orders": "orders-OrdersTable-9Z8Y"}`.
    """

    environment: Annotated[str, like(ENVIRONMENT_NAME, "name of an environment")]
    account: Annotated[str, Field(pattern=r"^[0-9]{12}$")] = Field(
        description="The environment's account, `aws:allowedAccountIds`", examples=[["123456789012"]]
    )
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")] = Field(
        description="Its region, `aws:region`", examples=["eu-central-1"]
    )
    prefix: Annotated[str, Field(pattern=NAME)] = Field(
        description="The prefix of the names of all declared resources", examples=["acme"]
    )
    production: bool = Field(
        True,
        description="Whether it is production. Then there are no drills; by default `--yes` confirms no plan "
        "(`unattended`), and another person approves (`approval`)",
        examples=[False],
    )
    naming: Naming = Field(
        Naming(), description="The names of resources, as texts with placeholders", validate_default=True
    )
    repository: Annotated[str, Field(pattern=REPOSITORY)] = Field(
        "",
        description="The GitHub repository whose environments may assume the roles: `owner/name`, or "
        "`owner@ID/name@ID` if its tokens have immutable subjects. Empty: no GitHub",
        examples=["acme/orders"],
    )
    gitlab: GitLab | None = Field(
        None,
        description="The GitLab projects whose jobs may assume the roles. None: no GitLab",
        examples=[{"project": "acme/orders", "approvals": "acme/approvals"}],
    )
    protected_branch: Annotated[str, Field(pattern=BRANCH)] = Field(
        "main",
        description="The branch whose settings count. A rollback can go to its commits only",
        examples=["main"],
    )
    alias: Annotated[str, Field(pattern=ALIAS)] = Field(
        description="The alias that callers invoke, on every function", examples=["live"]
    )
    declare_aliases: bool = Field(
        True,
        description="Whether the stack creates the alias of each function. `false` if your deployment creates it: SAM's "
        "`AutoPublishAlias`, CDK's `Alias`",
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
            description="The CloudFormation stacks that deploy functions (SAM, CDK, templates), which the roles may then "
            "read. `can` checks whether they keep versions, `release record --from-stack` reads what they have deployed",
            examples=[["orders-production"]],
        )
    )
    function_access: FunctionAccess = Field(
        FunctionAccess(), description="How the roles' policies name functions"
    )
    rto: Rto = Field(Rto(), description="The time budget of each scenario, in minutes")
    pace: Pace = Field(Pace(), description="Calls per second, below the quotas of account and region")
    lease_seconds: Annotated[int, Field(ge=2, le=3600)] = Field(
        60, description="How long a lease is valid after its holder's last heartbeat", examples=[60]
    )
    smoke: dict[SmokeOf, Command] = Field(
        {},
        description="The command that tests a release, run with TEST_ENVIRONMENT set; or one for each of "
        "`aliases`, `stack`, `terraform`, `full` and `table`. `python` is this command's interpreter. None: no smoke test",
        examples=[_COMMAND, {"aliases": ["./smoke.sh"]}],
    )
    slack_channel: Annotated[str, Field(pattern=CHANNEL, max_length=81)] = Field(
        "",
        description="The Slack channel for rollbacks. The bot's token, or a webhook's URL, is in the SecureString "
        "`slack` below `naming.parameters`. Empty: none",
        examples=["#deployments"],
    )
    event_bus: Annotated[str, Field(pattern=BUS_NAME)] = Field(
        "",
        description="The EventBridge bus of this account and region to which the end of each rollback is sent: `default`, "
        "or another name. Empty: none",
        examples=["default"],
    )
    people: People = Field(People(), description="ARNs of IAM users who may assume a role, with MFA")
    permission_sets: PermissionSets = Field(
        PermissionSets(),
        description="The permission sets of IAM Identity Center, beside the users of `people` or instead of them. Each "
        "refers to policies that the foundation's stack exports as `permissionSets`",
    )
    reviewers: Reviewers = Field(
        Reviewers(),
        description="Numeric GitHub ids of approvers; with these and github:owner the GitHub environments "
        "are declared",
    )
    tables: dict[str, str] = Field(
        {},
        description="The tables that can be restored to a point in time: a list of entries of `naming.table`, or "
        "each with its full name. None: nothing is declared for tables",
        examples=[{"orders": "orders-OrdersTable-1A2B3C4D5E6F"}],
        validate_default=True,
    )
    holds_data: tuple[str, ...] = Field(
        (),
        description="More kinds of resources that hold data: no rollback deletes or replaces one unless it is named. "
        "Each is called as in Terraform, without the provider",
        examples=[["dynamodb_table"]],
    )
    state_key: Annotated[str, Field(pattern=rf"^$|{KMS_KEY}")] = Field(
        "",
        description="The KMS key of the stack's secrets, which the deployer may use. Empty: the stack uses a passphrase",
        examples=["arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"],
    )
    table_keys: tuple[Annotated[str, Field(pattern=KMS_KEY)], ...] = Field(
        (),
        description="The KMS keys of tables that have keys of their own, which DynamoDB may use to restore them",
        examples=[["arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"]],
    )
    # "The maximum retention period is 100 years" (Amazon S3 User Guide, "Object Lock considerations",
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html).
    audit_retention_days: Annotated[int, Field(ge=1, le=36_500)] = Field(
        400,
        description="For how many days nobody can delete anything in the archive, not even the account's root",
        examples=[400],
    )
    terraform: Terraform | None = Field(
        None,
        description="The Terraform configuration. None: nothing is declared for Terraform",
        examples=[{"folder": "infra"}],
    )
    terraform_checks: TerraformChecks = Field(
        TerraformChecks(), description="What must exist after a Terraform rollback"
    )
    guard: Guard | None = Field(
        None,
        description="Alarms, and the function that takes the standby when one goes off. None: nothing is declared, and "
        "nothing is rolled back without a person",
        examples=[{"errors": 5}],
    )
    minimum_functions: Annotated[int, Field(ge=0)] = Field(
        0,
        description="The minimum number of functions after a Terraform rollback. 0: not checked",
        examples=[40],
    )
    approval: ApprovalPolicies = Field(
        _COMPLETED,
        description="Who approves each kind of rollback: nobody (`none`), the same person, who confirms the shown plan "
        "(`confirm`), or another person (`identity`). In production `identity`; elsewhere `none` for aliases, and `confirm`",
        validate_default=True,
    )
    unattended: bool | None = Field(
        None,
        description="Whether `--yes` confirms a plan without showing it first. Not set: only outside production",
        examples=[True],
    )

    automatic: Automatic = Field(
        Automatic(), description="Whether an alarm takes the standby, without a person"
    )

    @field_validator("automatic")
    @classmethod
    def _of_the_catalogue(cls, automatic: Automatic, info: ValidationInfo) -> Automatic:
        known = info.data.get("services", {})
        raise_found(
            [
                (
                    ("automatic", "services", number),
                    f"'{name}' is not one of the services.{nearest(name, known)}",
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
            ("stateBucket", names.state_bucket, BUCKET_NAME),
            ("foundationBucket", names.foundation_bucket, BUCKET_NAME),
            ("auditBucket", names.audit_bucket(account), BUCKET_NAME),
            ("ledger", names.deployments_table, TABLE_NAME),
            ("parameters", names.parameter_path, PARAMETER_PATH),
        ):
            if not pattern.fullmatch(name):
                found.append((("naming", field), f"'{name}' is not a name that AWS accepts"))
        raise_found(found)
        return naming

    @field_validator("services", mode="before")
    @classmethod
    def _catalogue(cls, services: Any, info: ValidationInfo) -> Any:
        names, top = _names_of(info), "services"
        found: list[tuple[tuple[str | int, ...], str]] = []
        owner: dict[str, str] = {}
        made: _Entries = {}
        if not isinstance(services, Mapping) or not services:
            raise ValueError("it must be a mapping with at least one service")
        for service, listed in services.items():
            if not SERVICE.fullmatch(str(service)) or service == _ALL:
                found.append(
                    (
                        (top, service),
                        f"'{service}' is not a service name: letters, digits, _ and -, and not '{_ALL}'",
                    )
                )
                continue
            made[service] = {}
            for place, entry, name in _entries((top, service), listed, names.function, found):
                if not ENTRY_NAME.fullmatch(entry) or not FUNCTION.fullmatch(name):
                    found.append((place, f"'{entry}' is not a function name: letters, digits, - and _"))
                elif len(name) > LONGEST_FUNCTION:
                    found.append((place, f"'{name}' is longer than {LONGEST_FUNCTION} characters"))
                elif (twice := next((one for one in (entry, name) if one in owner), None)) is not None:
                    found.append((place, f"function '{twice}' is in both '{owner[twice]}' and '{service}'"))
                else:
                    owner |= {entry: service, name: service}
                    made[service][entry] = name
            if not made[service] and not any(path[:2] == (top, service) for path, _ in found):
                found.append(((top, service), f"service '{service}' has no function"))
        found += [
            ((top, service), f"'{service}' is both a service and a function of '{owner[service]}'")
            for service in made
            # If entry and service have the same name, the function's full name distinguishes them.
            if service in {name for functions in made.values() for name in functions.values()}
        ]
        raise_found(found)
        return made

    @field_validator("tables", mode="before")
    @classmethod
    def _restorable(cls, tables: Any, info: ValidationInfo) -> Any:
        names, found, made = _names_of(info), list[tuple[tuple[str | int, ...], str]](), dict[str, str]()
        for place, entry, name in _entries(("tables",), tables, names.table, found):
            if not TABLE_ENTRY.fullmatch(entry) or not TABLE_NAME.fullmatch(name):
                found.append((place, f"'{entry}' is not a table name: letters, digits, '-', '_' and '.'"))
            elif name == names.deployments_table:
                found.append((place, f"'{entry}' is the ledger, which cannot be in this list"))
            else:
                made[entry] = name
        raise_found(found)
        return made

    @field_validator("guard")
    @classmethod
    def _watching(cls, guard: Guard | None, info: ValidationInfo) -> Guard | None:
        if guard is None:
            return guard
        if not guard.thresholds:
            raise ValueError("it needs at least one threshold")
        functions = [one for listed in info.data.get("services", {}).values() for one in listed.items()]
        if guard.smoke and not any(guard.smoke in one for one in functions):
            raise_found([(("guard", "smoke"), f"'{guard.smoke}' is not a function of the catalogue")])
        return guard

    @field_validator("function_access")
    @classmethod
    def _covering(cls, access: FunctionAccess, info: ValidationInfo) -> FunctionAccess:
        patterns = [f"{prefix}*" for prefix in access.prefixes]
        if patterns:
            raise_found(
                [
                    (("functionAccess", "prefixes"), f"'{name}' has none of these prefixes")
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
        # Before the command is copied to all kinds, so that each wrong word is reported once.
        texts = [isinstance(word, str) and "\0" not in word for word in smoke]
        raise_found(
            [(("smoke", place), "it must be text") for place, is_text in enumerate(texts) if not is_text]
        )
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
            raise_found(
                [
                    (
                        ("approval", field),
                        "nobody could approve it: set people.approvers, permissionSets.approvers, a repository or gitlab.approvals, or let the same person do",
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
        """Whether drills are allowed."""
        return not self.production

    @property
    def confirmed_unseen(self) -> bool:
        """Whether `--yes` confirms a plan that needs a confirmation."""
        return not self.production if self.unattended is None else self.unattended

    @property
    def alarms(self) -> tuple[str, ...]:
        """The names of the alarms that may take the standby: the guard's, one per service, and those listed."""
        own = self.automatic.services or tuple(self.services)
        return (*(self.names.alarm(service) for service in own), *self.automatic.alarms)

    @property
    def approvals(self) -> bool:
        """Whether any kind needs another person's approval."""
        asked = {
            self.approval.aliases,
            self.approval.infrastructure,
            self.approval.table if self.tables else "",
        }
        return "identity" in asked

    @property
    def names_approvers(self) -> bool:
        """Whether the settings name approvers."""
        reviewers = self.reviewers
        return bool(
            self.people.approvers or self.permission_sets.approvers or reviewers.users or reviewers.teams
        )

    def acts_as(self, name: str, role: str) -> bool:
        """Whether the IAM role `name` is that of `role` (a constant of `naming`), or of its permission set."""
        permission_set = self.permission_sets.of_roles.get(role)
        return name == self.names.role(role) or (
            permission_set is not None and permission_set_of(name) == permission_set
        )

    def called(self, role: str) -> str:
        """The name of `role` in messages: the IAM role, and its permission set."""
        permission_set = self.permission_sets.of_roles.get(role)
        return self.names.role(role) + (f" or the permission set {permission_set}" if permission_set else "")

    @property
    def restorable(self) -> tuple[str, ...]:
        """The full names of the tables that can be restored to a point in time."""
        return tuple(self.tables.values())

    @property
    def repository_name(self) -> str:
        """`owner/name`, without the ids that a token's subject may have."""
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
        """The full name of a function, from its entry or its name; `typed` if there is none."""
        return typed if typed in self.catalogue() else self.entries().get(typed, typed)

    def service(self, name: str) -> str:
        """Returns Returns `name` if the catalogue has that service.

        Otherwise raises `UsageError` with the most similar name.
        """
        if name not in self.services:
            raise UsageError(
                # Similar letters of other alphabets are shown as escapes.
                f"There is no service {name[:80]!a}.{nearest(name, self.services)}",
                code=Code.UNKNOWN_SERVICE,
                next=f"Services: {', '.join(self.services)}.",
            )
        return name

    @property
    def alike(self) -> tuple[str, ...]:
        """Patterns of the environment's function names, also for those not in the catalogue (`naming.beginnings`)."""
        if self.function_access.prefixes:
            return tuple(f"{prefix}*" for prefix in self.function_access.prefixes)
        return beginnings(map(self.functions, self.services), self.names.function_prefix)


def nearest(name: str, known: Iterable[str], prefix: str = "", least: float = 0.5) -> str:
    """` Did you mean 'X'?`, or an empty text if none has a similarity of at least `least` (0 to 1)."""
    there = list(known)
    close = [one for one in there if one.lower() == name.lower()]
    close = close or difflib.get_close_matches(name, there, n=1, cutoff=least)
    return f" Did you mean '{prefix}{close[0]}'?" if close else ""


def _names_of(info: ValidationInfo, naming: Naming | None = None) -> Names:
    """The names, if the fields before are valid."""
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
            found.append((place, "an entry and its full name must be text"))
        else:
            yield place, entry, named(entry) if name is None else name
