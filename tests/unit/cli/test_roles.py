"""Who is not allowed something is told which role a verb needs."""

from __future__ import annotations

import pytest

from rollback.cli.output import verb_typed
from rollback.cli.roles import role_named
from rollback.model.identity import Actor
from rollback.util.errors import Code, RollbackError
from tests.doubles.world import ALICE, BOB, DAN, settings

_AS_IT_WAS = "as it was"


def next_of(verb: str, caller: Actor, code: Code = Code.ACCESS_DENIED, **people: object) -> str:
    error = RollbackError("Not allowed.", code=code, next=_AS_IT_WAS)
    role_named(error, verb, settings(people=people), caller)
    return error.next


@pytest.mark.parametrize(
    ("verb", "caller", "role"),
    [
        ("stack", ALICE, "acme-dev-github-actions-role"),
        ("release", ALICE, "acme-dev-github-actions-role"),
        ("approve", ALICE, "acme-dev-approver-role"),
        ("lambda", BOB, "acme-dev-rollback-role"),
        ("status", BOB, "acme-dev-rollback-role"),
    ],
)
def test_a_role_that_is_not_allowed_a_verb_is_told_which_one_is(verb: str, caller: Actor, role: str) -> None:
    said = next_of(verb, caller)

    assert role in said
    assert str(caller) in said


def test_who_may_take_that_role_reads_how() -> None:
    said = next_of("stack", ALICE, deployers=["arn:aws:iam::111122223333:user/alice"])

    assert said.splitlines()[0] == "rollback login --env dev --role deployer"


@pytest.mark.parametrize(
    ("verb", "caller", "code"),
    [
        ("lambda", ALICE, Code.ACCESS_DENIED),
        ("status", DAN, Code.ACCESS_DENIED),
        ("resume", ALICE, Code.ACCESS_DENIED),
        ("stack", ALICE, Code.FROZEN),
    ],
)
def test_what_is_no_question_of_the_role_stays_as_it_was(verb: str, caller: Actor, code: Code) -> None:
    assert next_of(verb, caller, code) == _AS_IT_WAS


def test_the_verb_is_the_first_word_that_is_no_option() -> None:
    assert verb_typed(["-q", "release", "record", "--env", "dev"]) == "release"
    assert verb_typed([]) == ""
