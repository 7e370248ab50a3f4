"""Checks after an apply: the account has what the access-management root declares, and what the platform
needs beside.
"""

from __future__ import annotations

from collections.abc import Callable

from rollback.aws.account import Account, explained
from rollback.core.errors import RollbackError
from rollback.model.record import Check


def checks(account: Account) -> list[Check]:
    """The table, the API and the functions, as the account has them now."""
    asked: dict[str, Callable[[Account], tuple[bool, str]]] = {
        "table": _table,
        "api": _api,
        "functions": _functions,
    }
    return [_checked(name, account, ask) for name, ask in asked.items()]


def _checked(name: str, account: Account, ask: Callable[[Account], tuple[bool, str]]) -> Check:
    """What cannot be asked is not proved."""
    try:
        with explained(f"verifying the {name}"):
            ok, detail = ask(account)
    except RollbackError as error:
        return Check(check=name, ok=False, detail=error.what)
    return Check(check=name, ok=ok, detail=detail)


def _table(account: Account) -> tuple[bool, str]:
    name = account.settings.names.access_table
    status = account.dynamodb.describe_table(TableName=name)["Table"]["TableStatus"]
    return status == "ACTIVE", f"{name} is {status}"


def _api(account: Account) -> tuple[bool, str]:
    name = account.settings.names.api
    pages = account.client("apigateway").get_paginator("get_rest_apis").paginate()
    count = sum(item["name"] == name for page in pages for item in page["items"])
    return count == 1, f"{count} named {name}"


def _functions(account: Account) -> tuple[bool, str]:
    prefix, least = account.settings.names.function_prefix, account.settings.minimum_functions
    pages = account.lambda_.get_paginator("list_functions").paginate()
    count = sum(item["FunctionName"].startswith(prefix) for page in pages for item in page["Functions"])
    return count >= least, f"{count} functions, at least {least} are asked for"
