"""The patterns of names and values in settings, as AWS, GitHub and GitLab accept them, and the errors of the models."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from rollback.config.naming import FOUNDATION

# Valid in a Pulumi stack's name and in a bucket's name.
ENVIRONMENT_NAME = re.compile(rf"(?=.{{1,40}}\Z)(?!(?:.*-)?{FOUNDATION}\Z)[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
# `owner/name`, or `owner@ID/name@ID` if GitHub's tokens have immutable ids in their subject; empty: no GitHub.
REPOSITORY = r"^([A-Za-z0-9-]+/[A-Za-z0-9._-]+|[A-Za-z0-9-]+@[0-9]+/[A-Za-z0-9._-]+@[0-9]+|)$"
# "Reserved project and group names", https://docs.gitlab.com/user/reserved_names/#rules-for-usernames-project-and-group-names-and-slugs.
GITLAB_PROJECT = re.compile(r"(?=.{1,255}\Z)[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")
# An identity provider cannot have a port ("CreateOpenIDConnectProvider",
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html).
HOST_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")
# A branch's name that is neither a git option nor a GitHub pattern.
BRANCH = r"^[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}$"
# "Lambda quotas", https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, and the pattern of
# CreateFunction's FunctionName, https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html.
LONGEST_FUNCTION = 64
FUNCTION = re.compile(r"[A-Za-z0-9_-]+")
# "Naming rules", https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html.
TABLE_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
BUCKET_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
# "About requirements and constraints for parameter names",
# https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html.
PARAMETER_PATH = re.compile(r"(?!/(?i:aws|ssm))(?:/[A-Za-z0-9_.-]+){1,10}")
# Without the separators of labels (`v1.2.0+team_service@v1.1.0`), ledger keys and comma-separated lists.
SERVICE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
ENTRY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
TABLE_ENTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
# Not a key alias, which can be changed to another key.
KMS_KEY = r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]{1,128}$"
# Only IAM users have what a role's trust policy requires: MFA and a user name.
USER = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:user/[A-Za-z0-9_+=,.@/-]{1,512}")
# A channel's name or id; empty: no messages. The length is checked separately: repeated eighty times, `\\w` takes the
# pattern's compiler longer than all other patterns.
CHANNEL = r"^(|#?[\w-]+)$"
ALIAS = r"^[A-Za-z_-][A-Za-z0-9_-]{0,127}$"
NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
# "Name", https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateEventBus.html, without a partner's slash.
BUS_NAME = r"^[A-Za-z0-9_.-]{0,256}$"
# "AlarmName", https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html; without characters that a list
# or a pattern would interpret.
ALARM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:/#()+=@-]{0,254}")
# A path below the project's folder: not outside it, and not an option.
BELOW = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./{}-]*")
# S3's safe characters in keys ("Creating object key names",
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html).
OBJECT_KEY = r"^[A-Za-z0-9][A-Za-z0-9_./=-]{0,900}$"
PLACEHOLDER = re.compile(r"\{[^{}]*\}?|\}")
# Of Lambda's runtimes, those of the Pythons that this distribution supports.
RUNTIME = re.compile(r"python3\.1[1-9]")

# At most a week.
Minutes = Annotated[int, Field(ge=1, le=7 * 24 * 60)]
# A command's argument, which cannot contain NUL.
Word = Annotated[str, Field(pattern=r"^[^\x00]*$")]
Command = tuple[Word, ...]


class Problems(ValueError):
    """Several problems: the path of each from the settings' top, and a message."""

    def __init__(self, found: Iterable[tuple[tuple[str | int, ...], str]]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(message for _, message in self.found))


def like(pattern: re.Pattern[str], what: str, *, empty: bool = False) -> Any:
    """Text that matches `pattern` completely, or an empty text if `empty`."""

    def checked(text: str) -> str:
        if not pattern.fullmatch(text) and not (empty and not text):
            raise ValueError(f"'{text[:80]}' is not a valid {what}")
        return text

    return AfterValidator(checked)


def raise_found(found: list[tuple[tuple[str | int, ...], str]]) -> None:
    """Raises `Problems` if `found` is not empty."""
    if found:
        raise Problems(found)


class Section(BaseModel):
    """A section of settings. Frozen; unknown keys are errors; files use `camelCase`."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)
