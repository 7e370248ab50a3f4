"""Facts about IAM and STS, on which "who did it" and the separation of roles rely."""

from __future__ import annotations

from typing import Any

from rollback.rehearsal.acceptance.fact import Differs, Fact, Skipped
from rollback.rehearsal.acceptance.function_facts import refusal
from rollback.rehearsal.acceptance.sandbox import (
    ANOTHER,
    DENIALS,
    DENIED,
    OWN,
    PERSON,
    Sandbox,
)


def _not_root(sandbox: Sandbox) -> None:
    # https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
    if sandbox.caller.endswith(":root"):
        raise Skipped("the account's root user cannot assume roles: run this as an IAM user, or under a role")


def _refused(call: Any, what: str) -> None:
    """Raises `Differs` unless a call is denied."""
    answered, message = refusal(call)
    if not answered:
        raise Differs(f"{what} was allowed")
    if answered not in DENIALS:
        raise Differs(f"{what} failed with {answered}: {message}")


def _session_name(sandbox: Sandbox) -> str:
    _not_root(sandbox)
    role = sandbox.first_role
    taken = sandbox.until(lambda: sandbox.take(role, PERSON), DENIALS)
    _refused(lambda: sandbox.take(role, ANOTHER), "another session name")
    arn = sandbox.taken(taken, sandbox.account.settings.region)("sts").get_caller_identity()["Arn"]
    if not arn.endswith(f"/{PERSON}"):
        raise Differs(f"STS returned the session as {arn}")
    return f"'{PERSON}' was allowed and is the session's name, '{ANOTHER}' was denied"


def _source_identity(sandbox: Sandbox) -> str:
    _not_root(sandbox)
    first, second = sandbox.first_role, sandbox.second_role
    sandbox.until(lambda: sandbox.take(first, PERSON), DENIALS)
    _refused(lambda: sandbox.take(first, PERSON, source=ANOTHER), "another source identity")
    answered, message = refusal(lambda: sandbox.take(first, PERSON, source=PERSON))
    if answered in DENIALS:
        raise Skipped(f"the caller may not set a source identity, or already has one: {message}")
    taken = sandbox.take(first, PERSON, source=PERSON)
    sts = sandbox.taken(taken, sandbox.account.settings.region)("sts")
    sandbox.until(lambda: sandbox.take(second, PERSON, source=PERSON, by=sts), DENIALS)
    sandbox.until(lambda: sandbox.take(second, PERSON, by=sts), DENIALS)
    _refused(
        lambda: sandbox.take(second, ANOTHER, by=sts), "another session name on the way to the next role"
    )
    _refused(
        lambda: sandbox.take(second, PERSON, source=ANOTHER, by=sts),
        "another source identity on the way to the next role",
    )
    return f"the next role was assumed as '{PERSON}', also without naming it again; '{ANOTHER}' was denied"


def _leading_keys(sandbox: Sandbox) -> str:
    _not_root(sandbox)
    table, role = sandbox.table, sandbox.first_role
    taken = sandbox.until(lambda: sandbox.take(role, PERSON), DENIALS)
    dynamodb = sandbox.taken(taken, sandbox.account.settings.region)("dynamodb")

    def put(key: str) -> dict[str, Any]:
        return {"TableName": table, "Item": {"PK": {"S": key}, "SK": {"S": "-"}}}

    def together(*keys: str) -> None:
        dynamodb.transact_write_items(TransactItems=[{"Put": put(key)} for key in keys])

    sandbox.until(lambda: dynamodb.put_item(**put(f"{OWN}1")), DENIALS)
    sandbox.until(lambda: together(f"{OWN}2", f"{OWN}3"), DENIALS)
    _refused(lambda: dynamodb.put_item(**put("OTHER#1")), "an item under another key")
    _refused(lambda: dynamodb.put_item(**put(f"{DENIED}1")), "an item under a key that a denial names")
    _refused(lambda: together(f"{OWN}4", "OTHER#2"), "a transaction with another key among its own")
    _refused(lambda: together(f"{OWN}5", f"{DENIED}2"), "a transaction with a denied key among its own")
    _refused(lambda: dynamodb.scan(TableName=table), "a Scan, which names no key,")
    written = [
        key
        for key in (f"{OWN}4", f"{OWN}5", "OTHER#1", "OTHER#2", f"{DENIED}1", f"{DENIED}2")
        if "Item" in sandbox.client("dynamodb").get_item(**_key(table, key))
    ]
    if written:
        raise Differs(f"they were denied, but written anyway: {', '.join(written)}")
    return "own keys were written, alone and in a transaction; 5 requests with others were denied, and wrote nothing"


def _key(table: str, key: str) -> dict[str, Any]:
    return {"TableName": table, "Key": {"PK": {"S": key}, "SK": {"S": "-"}}, "ConsistentRead": True}


_IAM = "https://docs.aws.amazon.com/IAM/latest/UserGuide"
FACTS = (
    Fact(
        name="session-name",
        says="A trust policy that requires an sts:RoleSessionName denies every other session name.",
        why="The person who planned and the person who approved are identified by the session's name, which nobody may choose.",
        source=f"{_IAM}/reference_policies_iam-condition-keys.html#ck_rolesessionname",
        tried=_session_name,
    ),
    Fact(
        name="source-identity",
        says="A source identity stays with the session on the way to the next role, and cannot be changed.",
        why="The restore role is assumed from the rollback role, by the same person.",
        source=f"{_IAM}/id_credentials_temp_control-access_monitor.html",
        tried=_source_identity,
    ),
    Fact(
        name="leading-keys",
        says="A condition on dynamodb:LeadingKeys allows a role its own keys, in each member of a transaction.",
        why="The approver role may only write approvals, and nobody else may write one.",
        source="https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html",
        tried=_leading_keys,
    ),
)
