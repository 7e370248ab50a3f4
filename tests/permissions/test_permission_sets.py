"""Sessions of Identity Center's permission sets: what the boundary and the trust make of them, by a simulator of IAM."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from components.boundary import boundary, trust
from components.of_settings import scope_of
from components.permission_sets import permissions
from components.permissions import inline_policy
from components.policies import Scope
from localaws.paths import ROOT
from rollback.config.naming import APPROVER, DEPLOYER, RESTORE, ROLLBACK
from rollback.config.settings import load
from tests.permissions.simulator.judging import Request, Verdict, judge

SUFFIX = "0123456789abcdef"
PATHS = {"with its region": "eu-west-1/", "without a region": ""}


@cache
def scope() -> Scope:
    sets = {DEPLOYER: "Deploy", ROLLBACK: "OnCall", APPROVER: "Approve"}
    return replace(scope_of(load(ROOT, "prod")), permission_sets=sets)


def role(name: str, path: str = "aws-reserved/sso.amazonaws.com/") -> str:
    return f"arn:aws:iam::{scope().account}:role/{path}{name}"


def session(name: str, person: str) -> str:
    return f"arn:aws:sts::{scope().account}:assumed-role/{name}/{person}"


def asked(requests: dict[str, Request]) -> dict[str, Verdict]:
    of = scope()
    known = {
        "boundary": boundary(of),
        "approver": inline_policy(APPROVER, of),
        "rollback": inline_policy(ROLLBACK, of),
        "restore's trust": trust(of, of.names.prefix, "prod-rollback", (), ROLLBACK),
    }
    return dict(zip(requests, judge(requests.values(), known), strict=True))


def approving(name: str, path: str) -> Request:
    return Request(
        principal=session(name, "bob@example.com"),
        action="dynamodb:PutItem",
        resource=scope().ledger,
        account=scope().account,
        context={"aws:PrincipalArn": role(name, path), "dynamodb:LeadingKeys": ("APPROVAL#1",)},
        identity=("approver",),
        boundary="boundary",
    )


def test_the_boundary_lets_the_set_of_those_who_approve_approve_and_no_set_or_role_of_a_like_name() -> None:
    reserved = "aws-reserved/sso.amazonaws.com/"
    own = f"AWSReservedSSO_Approve_{SUFFIX}"
    allowed = asked(
        {
            **{what: approving(own, f"{reserved}{region}") for what, region in PATHS.items()},
            "a longer set": approving(f"AWSReservedSSO_Approve_Readers_{SUFFIX}", reserved),
            "another set": approving(f"AWSReservedSSO_OnCall_{SUFFIX}", f"{reserved}eu-west-1/"),
            "a role that anybody could make": approving(own, ""),
            "one of another path": approving(own, "service-role/"),
            "a set of a set's name": approving(f"AWSReservedSSO_x_AWSReservedSSO_Approve_{SUFFIX}", reserved),
        }
    )

    assert {what for what, verdict in allowed.items() if verdict.allowed} == set(PATHS)


def taking(name: str, person: str, *, as_: str, path: str = "aws-reserved/sso.amazonaws.com/") -> Request:
    return Request(
        principal=session(name, person),
        action="sts:AssumeRole",
        resource=scope().role(RESTORE),
        account=scope().account,
        context={
            "aws:PrincipalArn": role(name, path),
            "aws:userid": f"AROAEXAMPLEID:{person}",
            "sts:RoleSessionName": as_,
        },
        identity=("rollback",),
        boundary="boundary",
        trust="restore's trust",
    )


def test_the_restore_role_is_taken_by_the_set_of_those_on_call_in_their_sessions_own_name() -> None:
    alice, own = "alice@example.com", f"AWSReservedSSO_OnCall_{SUFFIX}"
    allowed = asked(
        {
            "alice": taking(own, alice, as_=alice),
            "alice, whose Identity Center is elsewhere": taking(
                own, alice, as_=alice, path="aws-reserved/sso.amazonaws.com/eu-west-1/"
            ),
            "alice as bob": taking(own, alice, as_="bob@example.com"),
            "alice as the end of her name": taking(own, alice, as_="example.com"),
            "alice by another set": taking(f"AWSReservedSSO_OnCall2_{SUFFIX}", alice, as_=alice),
            "alice by a role of that name": taking(own, alice, as_=alice, path=""),
        }
    )

    assert {what for what, verdict in allowed.items() if verdict.allowed} == {
        "alice",
        "alice, whose Identity Center is elsewhere",
    }


@pytest.mark.parametrize("word", [DEPLOYER, ROLLBACK, APPROVER])
def test_managed_policies_say_what_the_inline_policy_says(word: str) -> None:
    statements = [one for document in permissions(word, scope()) for one in document["Statement"]]

    assert statements == inline_policy(word, scope())["Statement"]
