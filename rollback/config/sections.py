"""The sections of settings, except those about people: budgets, pace, names, Terraform, guard, alarms."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from rollback.config.naming import ACCOUNT, ENTRY, ENVIRONMENT, PREFIX, Templates
from rollback.config.patterns import (
    ALARM_NAME,
    BELOW,
    BUCKET_NAME,
    NAME,
    OBJECT_KEY,
    PLACEHOLDER,
    RUNTIME,
    Minutes,
    Section,
    like,
)


class Rto(Section):
    """Time budgets in minutes, per scenario."""

    code: Minutes = Field(5, description="Aliases", examples=[5])
    configuration: Minutes = Field(5, description="A function's configuration", examples=[5])
    infrastructure: Minutes = Field(15, description="A stack, or Terraform", examples=[15])
    full: Minutes = Field(30, description="A whole release", examples=[30])
    table: Minutes = Field(60, description="A table", examples=[60])


class Pace(Section):
    """Requests per second to Lambda: control-plane calls (`writes`) with their `burst`, and GetFunction
    (`reads`).

    `read_units` and `write_units` are DynamoDB capacity units per second, for comparing tables and copying
    items back.
    """

    writes: Annotated[float, Field(gt=0, le=1000)] = Field(
        14.9, description="Lambda control-plane calls per second", examples=[14.9]
    )
    burst: Annotated[int, Field(ge=1, le=1000)] = Field(
        13, description="How many of them at once. Two more are kept for urgent calls", examples=[13]
    )
    reads: Annotated[float, Field(gt=0, le=10000)] = Field(
        95, description="GetFunction calls per second", examples=[95]
    )
    read_units: Annotated[float, Field(ge=1, le=1_000_000)] = Field(
        2000, description="DynamoDB read units per second, to compare tables", examples=[2000]
    )
    write_units: Annotated[float, Field(ge=1, le=1_000_000)] = Field(
        500, description="DynamoDB write units per second, to copy items back", examples=[500]
    )


class Terraform(Section):
    """The location of a Terraform (OpenTofu) configuration, and of its state if the configuration's backend leaves it
    open.
    """

    folder: Annotated[str, like(BELOW, "folder below this one")] = Field(
        "terraform", description="The configuration's folder, below this project's", examples=["infra"]
    )
    variables: Annotated[str, like(BELOW, "file below it", empty=True)] = Field(
        "",
        description="The file with the environment's variables, below the configuration's folder; `{environment}` is "
        "its name. Empty: none",
        examples=["environments/{environment}.tfvars"],
    )
    key: Annotated[str, Field(pattern=OBJECT_KEY)] = Field(
        "terraform.tfstate",
        description="The state's key in its bucket, if the configuration's backend does not declare it",
        examples=["orders/terraform.tfstate"],
    )
    bucket: Annotated[str, like(BUCKET_NAME, "name of a bucket", empty=True)] = Field(
        "",
        description="The state's bucket, if the configuration's backend does not declare it, or declares this one. Empty: "
        "`naming.stateBucket`",
        examples=["acme-terraform-state"],
    )

    def values(self, environment: str) -> str:
        """The path of the environment's variables file, below the configuration's folder; empty without one."""
        return self.variables.replace(ENVIRONMENT, environment)


class Guard(Section):
    """Alarms on every function's alias, and a function that takes the standby when one goes off.

    A threshold of 0 declares no alarm. An alarm goes off if the threshold is reached in `minutes` consecutive minutes.
    """

    errors: Annotated[int, Field(ge=0)] = Field(
        5, description="Errors of a function's alias per minute. 0: no alarm", examples=[5]
    )
    duration_ms: Annotated[int, Field(ge=0, le=900_000)] = Field(
        0,
        description="The p99 duration in milliseconds, above which the alarm goes into ALARM. 0: no such alarm",
        examples=[3000],
    )
    throttles: Annotated[int, Field(ge=0)] = Field(
        0, description="Throttled calls per minute. 0: no alarm", examples=[10]
    )
    minutes: Annotated[int, Field(ge=1, le=60)] = Field(
        1, description="How many consecutive minutes before the alarm goes off", examples=[2]
    )
    runtime: Annotated[str, like(RUNTIME, "runtime of Lambda, such as python3.13", empty=True)] = Field(
        "",
        description="The function's runtime, which its package is built for. Empty: the Python that runs "
        "`rollback guard build` and `pulumi up`",
        examples=["python3.13"],
    )
    package: Annotated[str, like(BELOW, "file below this folder")] = Field(
        "guard.zip",
        description="The function's package, which `rollback guard build` makes, below this project's folder",
        examples=["build/guard.zip"],
    )
    smoke: str = Field(
        "",
        description="A function of the catalogue, whose alias the guard invokes to verify: any answer but an error is "
        "healthy. Empty: no smoke test is run, and the record says so",
        examples=["team-service-get"],
    )
    timeout_seconds: Annotated[int, Field(ge=60, le=900)] = Field(
        300,
        description="After how many seconds Lambda ends the function. Shortly before, it stops gracefully, and the next "
        "try resumes",
        examples=[300],
    )
    recovery_minutes: Annotated[int, Field(ge=1, le=1440)] = Field(
        10,
        description="How many minutes after its rollback it reports whether the alarm has recovered",
        examples=[10],
    )

    @property
    def python(self) -> str:
        """The runtime that its package is built for, and that its function is declared with."""
        return self.runtime or f"python{sys.version_info.major}.{sys.version_info.minor}"

    @property
    def thresholds(self) -> dict[str, int]:
        """Metric (`errors`, `duration`, `throttles`) → threshold, for metrics with an alarm."""
        found = {"errors": self.errors, "duration": self.duration_ms, "throttles": self.throttles}
        return {metric: threshold for metric, threshold in found.items() if threshold}


class TerraformChecks(Section):
    """What must exist after a Terraform rollback: ACTIVE `tables`, and exactly one of each of `apis`.

    The deployer may only create and change these.
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
    """Text with only these placeholders, including `needs`."""

    def checked(text: str) -> str:
        if wrong := [hole for hole in PLACEHOLDER.findall(text) if hole not in holes]:
            raise ValueError(f"'{wrong[0]}' is not a placeholder; use {', '.join(holes)}")
        if needs and text.count(needs) != 1:
            raise ValueError(f"'{text}' must contain {needs} exactly once")
        return text

    return AfterValidator(checked)


_OF_ENVIRONMENT = (PREFIX, ENVIRONMENT)
_Listed = Annotated[str, _template(*_OF_ENVIRONMENT, ENTRY, needs=ENTRY)]
_Single = Annotated[str, _template(*_OF_ENVIRONMENT)]
_DEFAULT = Templates()


class Naming(Section):
    """The names of resources: text with `{prefix}`, `{environment}` and, for lists, `{entry}`."""

    function: _Listed = Field(
        _DEFAULT.function,
        description="A function that is listed without its full name",
        examples=["{prefix}-{environment}-{entry}"],
    )
    table: _Listed = Field(
        _DEFAULT.table,
        description="A table that is listed without its full name",
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
        description="The bucket of the foundation's state, which only administrators can read and write",
        examples=["{prefix}-{environment}-admin-pulumi"],
    )
    audit_bucket: Annotated[str, _template(*_OF_ENVIRONMENT, ACCOUNT)] = Field(
        _DEFAULT.audit_bucket,
        description="The bucket of the ledger's archive; `{account}` is the account's number",
        examples=["{prefix}-{environment}-audit-{account}"],
    )


class FunctionAccess(Section):
    """How the roles' policies select functions: one by one, by prefixes, or by a tag."""

    by: Literal["auto", "listed", "tag", "prefix"] = Field(
        "auto",
        description="`listed`, `prefix`, `tag` or `auto`: see above",
        examples=["prefix"],
    )
    prefixes: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{3,}$")], ...] = Field(
        (),
        description="Prefixes of functions' names, for `prefix`. None: what the names of each service have in common",
        examples=[["orders-prod-"]],
    )
    tag: dict[str, str] = Field(
        {},
        description="A tag that functions carry, with its value. If there are several, a function must carry all",
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


class Automatic(Section):
    """Whether an alarm takes the standby, without a person: with the guard, and with `rollback watch`.

    In production, and wherever aliases need another person's approval, only an approved standby.
    """

    takes: bool = Field(
        False,
        description="Whether an alarm may take the standby",
        examples=[True],
        validate_default=True,
    )
    alarms: tuple[Annotated[str, like(ALARM_NAME, "name of an alarm")], ...] = Field(
        (),
        description="Names of your CloudWatch alarms that may, beside those of the guard",
        examples=[["orders-5xx"]],
    )
    services: tuple[str, ...] = Field(
        (), description="Services whose guard alarms may. None: all", examples=[["orders"]]
    )
    bake: Minutes = Field(
        30,
        description="For how many minutes after a release: an alarm that goes into ALARM later takes nothing",
        examples=[30],
    )
