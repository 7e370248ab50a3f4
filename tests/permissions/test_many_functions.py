"""Functions that are too many to be listed: what each way of naming them allows, decided by a simulator of IAM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest

from components import break_glass
from components.boundary import boundary
from components.of_settings import scope_of
from components.permissions import function_policies, inline_policy
from components.policies import Document, Scope
from localaws.paths import ROOT
from rollback.config.naming import BREAK_GLASS, DEPLOYER, DRILL, ROLLBACK
from rollback.config.settings import load
from tests.permissions.environments import listed
from tests.permissions.simulator.judging import Request, Verdict, judge

ROLES = (DEPLOYER, ROLLBACK, DRILL, BREAK_GLASS)
OWN, LATER = "bbws-access-dev-lambda-team-service-0999", "bbws-access-dev-lambda-made-tomorrow"
FOREIGN, OTHER_ENVIRONMENT = "payments-charge", "bbws-access-sit-lambda-team-service-0999"
FUNCTIONS = (OWN, LATER, FOREIGN, OTHER_ENVIRONMENT)
TAG = {"aws:ResourceTag/team": "access"}
TAGS = {"no tag": {}, "its tag": TAG, "another tag": {"aws:ResourceTag/team": "payments"}}


def scope(way: str) -> Scope:
    """A catalogue of a thousand functions, of two where each is listed."""
    of = scope_of(load(ROOT, "dev"))
    count = 2 if way == "listed" else 1000
    names = [of.names.function(f"team-service-{number:04d}") for number in (*range(count - 1), 999)]
    return replace(of, functions=tuple(names), tag=(("team", "access"),) if way == "tag" else ())


def policies(role: str, of: Scope) -> list[Document]:
    if role == BREAK_GLASS:
        return [break_glass.permissions(of), *break_glass.function_permissions(of)]
    return [inline_policy(role, of), *function_policies(role, of)]


def on_functions(documents: list[Document]) -> Iterator[tuple[str, str]]:
    """(action, what follows the function's name) of all that is allowed on functions."""
    for statement in (one for document in documents for one in document["Statement"]):
        arns = [arn for arn in listed(statement["Resource"]) if ":function:" in arn]
        for action in listed(statement["Action"]) if arns else ():
            yield action, ":3" if arns[0].endswith(":*") or action in QUALIFIED else ""


@cache
def verdicts(way: str) -> dict[tuple[str, str, str, str], Verdict]:
    """(role, action, function, tags) → what IAM says."""
    of = scope(way)
    made = {role: policies(role, of) for role in ROLES}
    known = {f"{role} {number}": one for role in ROLES for number, one in enumerate(made[role])}
    known["boundary"] = boundary(of)
    asked = {}
    for role in ROLES:
        for action, after in dict.fromkeys(on_functions(made[role])):
            for function in FUNCTIONS:
                for tags, context in TAGS.items():
                    name = of.names.role(role)
                    asked[role, action, function, tags] = Request(
                        principal=f"arn:aws:sts::{of.account}:assumed-role/{name}/somebody",
                        action=action,
                        resource=of.function(f"{function}{after}"),
                        account=of.account,
                        context={"aws:PrincipalArn": of.role(role), **context},
                        identity=tuple(one for one in known if one.startswith(f"{role} ")),
                        boundary="boundary",
                    )
    return dict(zip(asked, judge(asked.values(), known), strict=True))


def allowed(way: str) -> set[tuple[str, str]]:
    """(function, tags) of which everything is allowed to every role that is allowed it on any; nothing is in between."""
    found: dict[tuple[str, str], set[bool]] = {}
    for (_, action, function, tags), verdict in verdicts(way).items():
        assert verdict.problem is None, f"AWS knows no such {action}"
        if action not in READS:
            found.setdefault((function, tags), set()).add(verdict.allowed)
    assert all(len(said) == 1 for said in found.values()), "all that changes something, or none of it"
    return {what for what, said in found.items() if said == {True}}


# Asked of an alias or a version only.
QUALIFIED = {"lambda:GetProvisionedConcurrencyConfig"}
# On these every role looks at what is beyond the catalogue, too.
READS = {
    "lambda:GetAlias",
    "lambda:GetFunction",
    "lambda:GetFunctionUrlConfig",
    "lambda:GetProvisionedConcurrencyConfig",
    "lambda:ListVersionsByFunction",
}


@pytest.mark.parametrize(
    ("way", "functions"),
    [
        ("listed", {(OWN, tags) for tags in TAGS}),
        ("prefix", {(name, tags) for name in (OWN, LATER) for tags in TAGS}),
        ("tag", {(name, "its tag") for name in FUNCTIONS}),
    ],
)
def test_which_functions_may_be_changed(way: str, functions: set[tuple[str, str]]) -> None:
    assert allowed(way) == functions


@pytest.mark.parametrize("way", ["listed", "prefix", "tag"])
def test_every_role_may_do_to_its_functions_what_it_may_where_they_are_few(way: str) -> None:
    done = {(role, action) for (role, action, *_), verdict in verdicts(way).items() if verdict.allowed}
    few = {(role, action) for (role, action, *_), verdict in verdicts("listed").items() if verdict.allowed}

    assert done == few
    assert {role for role, _ in done} == set(ROLES)


@pytest.mark.parametrize("way", ["prefix", "tag"])
def test_no_function_is_deleted_whole_however_many_there_are(way: str) -> None:
    of = scope(way)
    known = {str(number): one for number, one in enumerate(policies(DEPLOYER, of))}
    whole, version = (
        Request(
            principal=f"arn:aws:sts::{of.account}:assumed-role/{of.names.role(DEPLOYER)}/dan",
            action="lambda:DeleteFunction",
            resource=of.function(f"{OWN}{after}"),
            account=of.account,
            context={"aws:PrincipalArn": of.role(DEPLOYER), **TAG},
            identity=tuple(known),
            boundary="boundary",
        )
        for after in ("", ":3")
    )

    verdict = judge([whole, version], known | {"boundary": boundary(of)})

    assert [one.allowed for one in verdict] == [False, True]


def test_roles_look_only_at_functions_with_the_tag_where_it_is_asked_for() -> None:
    of = replace(scope("listed"), by="tag", tag=(("team", "access"),))
    (statement,) = [one for one in inline_policy(ROLLBACK, of)["Statement"] if one["Sid"] == "ReadFunctions"]

    assert statement["Condition"] == {"StringEquals": TAG}
    assert statement["Resource"] == of.function("*")
