"""Checks answers of a person before they become settings: each function returns why an answer is invalid, or nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rollback.config.patterns import ALIAS, NAME, USER


def alias(given: str) -> str:
    """Why it is not an alias name; empty if it is one."""
    if re.fullmatch(ALIAS, given):
        return ""
    return f"{given[:80]!a} is not an alias name: letters, digits, - and _, as in live."


def prefix(given: str) -> str:
    """Why it is not a prefix; empty if it is one."""
    if re.fullmatch(NAME, given):
        return ""
    return f"{given[:80]!a} is not a prefix: lower-case letters, digits and single -, a letter first, as in acme."


def people(given: Iterable[str]) -> str:
    """Why one of them is not an IAM user's ARN; empty if all are."""
    wrong = next((one for one in given if not USER.fullmatch(one)), None)
    if wrong is None:
        return ""
    return (
        f"{wrong[:80]!a} is not the ARN of an IAM user, as in arn:aws:iam::123456789012:user/alice. "
        "For IAM Identity Center, answer sso, or use --permission-sets."
    )
