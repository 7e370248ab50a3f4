"""Who may do what, and who may take a role: decided by a simulator of IAM on what the program declares.

`deeds` is the table of who may do what, `taking` that of who may take a role.
"""

from __future__ import annotations

import pytest

from tests.asked import ALLOWED
from tests.permissions.asking import APPROVALS, GIVEN, calls, identities, identity_changes, known, verdicts
from tests.permissions.deeds import DEEDS, KEY_DEEDS, Deed, each
from tests.permissions.environments import ENVIRONMENTS, declared, listed
from tests.permissions.real_accounts import UNASKED
from tests.permissions.taking import (
    CHAINS,
    HOPS,
    STRANGE_HOPS,
    Hop,
    Person,
    own_job,
    own_people,
    strange_jobs,
    strange_people,
)

every_environment = pytest.mark.parametrize("environment", ENVIRONMENTS)
every_deed = pytest.mark.parametrize(
    "deed",
    [
        pytest.param(deed, marks=pytest.mark.finding("S2") if deed in KEY_DEEDS else (), id=deed.what)
        for deed in DEEDS
    ],
)


@every_environment
@every_deed
def test_who_may(environment: str, deed: Deed) -> None:
    roles = declared(environment).roles

    for action in deed.actions:
        verdict = {role: verdicts()[environment, role, deed.what, action, environment] for role in roles}
        assert not {role: one.problem for role, one in verdict.items() if one.problem}, (
            f"AWS knows no such {action}"
        )
        assert {role for role, one in verdict.items() if one.allowed} == deed.who(roles), action


@every_environment
def test_no_role_does_in_another_environment_what_it_may_do_in_its_own(environment: str) -> None:
    done = [
        (role, deed.what, action, on)
        for deed, action in each()
        for role in deed.who(declared(environment).roles)
        for on in ENVIRONMENTS
        if not deed.shared and on != environment
        if verdicts()[environment, role, deed.what, action, on].allowed
    ]

    assert done == []


@every_environment
def test_every_grant_is_spoken_of_in_the_table(environment: str) -> None:
    of = declared(environment)
    mentioned = {
        (role, sid, action)
        for deed, action in each()
        for role in deed.who(of.roles)
        for sid in of.allowing(role, action, verdicts()[environment, role, deed.what, action, environment])
    }
    granted = {(role, sid, action) for role in of.roles for sid, action in of.granted(role)}

    assert sorted(granted - mentioned) == [], "write a row that says who may do it"


@every_environment
def test_every_action_that_is_granted_is_one_of_awss(environment: str) -> None:
    of = declared(environment)

    assert {action for role in of.roles for _, action in of.granted(role)} <= set(known())


@every_environment
def test_all_resources_are_granted_only_to_actions_that_take_none(environment: str) -> None:
    of = declared(environment)
    everywhere = {
        action
        for role in of.roles
        for name in of.held[role]
        for statement in of.policies[name]["Statement"]
        if statement["Resource"] == "*"
        for action in listed(statement["Action"])
    }

    assert everywhere == {
        "cloudwatch:ListMetrics",
        "events:ListEventBuses",
        "events:ListRules",
        "events:ListTargetsByRule",
        "lambda:ListEventSourceMappings",
        "lambda:ListFunctions",
        "scheduler:ListSchedules",
        "ssm:DescribeParameters",
    }
    assert all(known()[action].everywhere for action in everywhere)


# -- given everything ----------------------------------------------------------------------------------------


def test_a_role_that_is_given_everything_cannot_do_what_nobody_may() -> None:
    done = [
        (role, deed.what, action)
        for deed, action in each()
        for role in declared(GIVEN).roles
        if deed.never and verdicts()["given everything", role, deed.what, action].allowed
    ]

    assert done == []


def test_a_role_that_is_given_everything_cannot_approve_unless_it_is_the_approvers() -> None:
    approving = [(deed.what, action) for deed, action in each() if deed.what in APPROVALS]

    assert len(approving) == len(APPROVALS)
    for option in approving:
        assert [
            role for role in declared(GIVEN).roles if verdicts()["given everything", role, *option].allowed
        ] == ["approver"]


def test_a_deployer_that_is_given_everything_cannot_change_any_identity() -> None:
    verdict = {
        action: [
            verdicts()["given everything", "deployer", action, thing] for thing in identities(declared(GIVEN))
        ]
        for action in identity_changes()
    }

    assert len(verdict) > 100, "AWS has that many"
    assert [action for action, all_ in verdict.items() if any(one.allowed for one in all_)] == []
    # Not only because nobody is granted it today: the ceiling is made of what roles are granted.
    unsaid = [
        action
        for action, all_ in verdict.items()
        if not any("LeaveIdentityAlone" in one.denying for one in all_)
    ]
    assert unsaid == []
    untried = [action for action, all_ in verdict.items() if all(one.problem for one in all_)]
    assert untried == [], "each on a thing that it is about"


# -- what end-to-end tests ask -------------------------------------------------------------------------------


@every_environment
def test_what_end_to_end_tests_were_allowed_and_denied_would_be_allowed_and_denied_by_aws(
    environment: str,
) -> None:
    otherwise = []
    for call in calls(declared(environment)):
        verdict = verdicts()["asked", environment, *call.question]
        denial = call.verdict.partition("denied by ")[2]
        if (
            verdict.problem
            or verdict.allowed != (call.verdict == ALLOWED)
            or denial not in ("", *verdict.denying)
        ):
            otherwise.append((call, verdict))

    assert otherwise == []


@every_environment
def test_nothing_is_granted_that_no_end_to_end_test_asks_but_what_only_a_real_account_is_asked(
    environment: str,
) -> None:
    of = declared(environment)
    used = {
        (call.role, sid, call.action)
        for call in calls(of)
        for sid in of.allowing(call.role, call.action, verdicts()["asked", environment, *call.question])
    }
    granted = {(role, sid, action) for role in of.roles for sid, action in of.granted(role)}
    excepted = {one for one in UNASKED if one[0] in of.roles}

    assert sorted(granted - used - excepted) == [], "have a test ask it, take it away, or say who asks it"
    assert sorted(excepted - granted) == [], "it is not granted any more"
    assert sorted(excepted & used) == [], "a test asks it now"


# -- taking a role -------------------------------------------------------------------------------------------


@every_environment
def test_a_role_is_taken_by_the_jobs_of_its_environment_and_by_no_others(environment: str) -> None:
    of = declared(environment)
    taken, refused = [], []
    for role in of.roles:
        own = own_job(of, role)
        taken += [(role, own)] if own else []
        refused += [(role, job) for job in strange_jobs(of, role)]

    assert len(taken) == len(of.roles) - 1, "people only break the glass"
    assert [at for at in taken if not verdicts()["take", environment, at[0], at[1].what].allowed] == []
    assert [at for at in refused if verdicts()["take", environment, at[0], at[1].what].allowed] == []


@pytest.mark.finding("S1")
@pytest.mark.finding("W1")
@every_environment
def test_a_role_is_taken_by_its_people_with_mfa_and_as_themselves_and_by_no_others(environment: str) -> None:
    of = declared(environment)

    def taken(role: str, person: Person) -> bool:
        asked = [verdicts()["take", environment, role, person.what, action] for action in person.actions]
        assert not [one.problem for one in asked if one.problem]
        return all(one.allowed for one in asked)

    for role in of.roles:
        assert [one.what for one in own_people(role) if not taken(role, one)] == [], role
        assert [one.what for one in strange_people(of, role) if taken(role, one)] == [], role


@pytest.mark.finding("S16")
@every_environment
def test_a_role_is_taken_from_no_other_role_but_where_one_leads_to_it_and_in_the_same_name(
    environment: str,
) -> None:
    roles = declared(environment).roles

    def taken(before: str, role: str, hop: Hop) -> bool:
        asked = [
            verdicts()["take", environment, role, f"from {before}: {hop.what}", action]
            for action in hop.actions
        ]
        assert not [one.problem for one in asked if one.problem]
        return all(one.allowed for one in asked)

    pairs = [(before, role) for before in roles for role in roles]
    for hop in HOPS:
        assert {pair for pair in pairs if taken(*pair, hop)} == {
            pair for pair in CHAINS if set(pair) <= set(roles)
        }, hop.what
    for hop in STRANGE_HOPS:
        assert [pair for pair in pairs if taken(*pair, hop)] == [], hop.what
