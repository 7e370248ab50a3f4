"""Whether what a person names can be a setting, said before anything is made of it: why not, or nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rollback.config.patterns import ALIAS, NAME, USER


def alias(given: str) -> str:
    """Why that is no alias; empty where it is one."""
    if re.fullmatch(ALIAS, given):
        return ""
    return f"{given[:80]!a} is not an alias name: letters, digits, - and _, as in live."


def prefix(given: str) -> str:
    """Why that is no prefix; empty where it is one."""
    if re.fullmatch(NAME, given):
        return ""
    return f"{given[:80]!a} is not a prefix: lower-case letters, digits and single -, a letter first, as in acme."


def people(given: Iterable[str]) -> str:
    """Why one of them is no IAM user; empty where all are."""
    wrong = next((one for one in given if not USER.fullmatch(one)), None)
    if wrong is None:
        return ""
    return (
        f"{wrong[:80]!a} is not the ARN of an IAM user, as in arn:aws:iam::123456789012:user/alice. "
        "People of IAM Identity Center: sso, or --permission-sets."
    )
