"""The break-glass role: taken by people only, and able to move aliases and to read what that takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from components.boundary import boundary
from components.break_glass import function_permissions, permissions, trust
from components.of_settings import scope_of
from components.policies import INLINE_LIMIT, MANAGED_LIMIT, Scope, text
from rollback.config.settings import load, parse
from rollback.util.errors import UsageError
from tests.doubles.world import texts
from tests.unit.components.pulumi_mocks import walk

ROOT = Path(__file__).parents[3]
every_stack = pytest.mark.parametrize("stack", ["dev", "sit", "prod"])
ALICE = "arn:aws:iam::111122223333:user/alice"


def scope(stack: str, *tails: str) -> Scope:
    settings = load(ROOT, stack)
    of = scope_of(settings)
    return replace(of, functions=tuple(map(settings.names.function, tails)) or of.functions)


@every_stack
def test_it_writes_nothing_but_aliases_and_nothing_of_the_ledger(stack: str) -> None:
    of = scope(stack)
    statements = [one for policy in (permissions(of), *function_permissions(of)) for one in walk(policy)]
    reads = ("Describe", "Get", "List", "Query")

    writing = {
        action
        for one in statements
        for action in one["Action"]
        if not action.partition(":")[2].startswith(reads)
    }

    assert writing == {"lambda:UpdateAlias", "lambda:InvokeFunction"}


@every_stack
def test_the_boundary_leaves_it_possible_and_iams_limits_hold(stack: str) -> None:
    of = scope(stack)
    policies = [permissions(of), *function_permissions(of)]
    (ceiling,) = [one for one in walk(boundary(of)) if one["Effect"] == "Allow"]

    given = {action for policy in policies for one in walk(policy) for action in one["Action"]}

    assert given <= set(ceiling["Action"])
    assert len(text(policies[0])) <= INLINE_LIMIT
    assert all(len(text(policy)) <= MANAGED_LIMIT for policy in policies[1:])


def test_no_workflow_takes_it_and_people_only_with_mfa_and_as_themselves() -> None:
    (by_hand,) = trust([ALICE])["Statement"]

    assert by_hand["Action"] == ["sts:AssumeRole", "sts:SetSourceIdentity"]
    assert by_hand["Principal"] == {"AWS": [ALICE]}
    assert by_hand["Condition"]["Bool"] == {"aws:MultiFactorAuthPresent": "true"}


def test_with_nobody_configured_nobody_takes_it() -> None:
    (statement,) = trust([])["Statement"]

    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")


def test_who_approves_reviews_emergencies_and_makes_none() -> None:
    with pytest.raises(UsageError, match="may also use the break-glass role"):
        parse("dev", *texts(people={"breakGlass": [ALICE], "approvers": [ALICE]}))
