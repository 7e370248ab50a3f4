"""Checks after an apply: the account has the tables, APIs and functions that the settings list, and what the
platform needs. What the settings do not list is not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from rollback.aws.account import Account, explained
from rollback.config.naming import is_like
from rollback.model.record import Check
from rollback.util.errors import RollbackError


def checks(account: Account) -> list[Check]:
    """Checks the account's tables, APIs and functions."""
    return [_checked(name, ask) for name, ask in _asked(account)]


def _asked(account: Account) -> Iterator[tuple[str, Callable[[], tuple[bool, str]]]]:
    settings = account.settings
    for tail in settings.terraform_checks.tables:
        yield "table", partial(_table, account, settings.names.table(tail))
    for tail in settings.terraform_checks.apis:
        yield "api", partial(_api, account, settings.names.api(tail))
    if settings.minimum_functions:
        yield "functions", partial(_functions, account)


def _checked(name: str, ask: Callable[[], tuple[bool, str]]) -> Check:
    """A check that cannot be made counts as failed."""
    try:
        with explained(f"verifying the {name}"):
            ok, detail = ask()
    except RollbackError as error:
        return Check(check=name, ok=False, detail=error.what)
    return Check(check=name, ok=ok, detail=detail)


def _table(account: Account, name: str) -> tuple[bool, str]:
    status = account.dynamodb.describe_table(TableName=name)["Table"]["TableStatus"]
    return status == "ACTIVE", f"{name} is {status}"


def _api(account: Account, name: str) -> tuple[bool, str]:
    pages = account.client("apigateway").get_paginator("get_rest_apis").paginate()
    count = sum(item["name"] == name for page in pages for item in page["items"])
    return count == 1, f"{count} APIs are named {name}"


def _functions(account: Account) -> tuple[bool, str]:
    alike, least = account.settings.alike, account.settings.minimum_functions
    pages = account.lambda_.get_paginator("list_functions").paginate()
    count = sum(is_like(item["FunctionName"], alike) for page in pages for item in page["Functions"])
    return count >= least, f"{count} functions, at least {least} are required"
