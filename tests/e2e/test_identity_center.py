"""People of IAM Identity Center: a permission set each, no second role, and the name that AWS gives their session."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml
from botocore.exceptions import ClientError

from components.boundary import boundary, trust
from components.of_settings import scope_of
from components.policies import text
from localaws.clients import connect
from rollback.config.naming import APPROVER, BREAK_GLASS, DEPLOYER, RESTORE, ROLLBACK, arn, permission_set_of
from rollback.config.settings import load
from tests.e2e.estate_under_test import ALICE, BOB, FUNCTIONS, REASON, Person, Platform, git
from tests.e2e.permission_sets import assign

# A name that begins like that of another set.
SETS = {DEPLOYER: "Orders", ROLLBACK: "OrdersOnCall", APPROVER: "Orders_Approve", BREAK_GLASS: "OrdersGlass"}
ALMOST = "Orders_Approve_Readers"
ALICE_SSO = Person(role=SETS[ROLLBACK], name="Alice@example.com")
BOB_SSO = Person(role=SETS[APPROVER], name="bob@example.com")
ALICE_APPROVING_SSO = Person(role=SETS[APPROVER], name="alice@example.com")
DAN_SSO = Person(role=SETS[DEPLOYER], name="dan@example.com")
OLGA_SSO = Person(role=SETS[BREAK_GLASS], name="olga@example.com")
READER = Person(role=ALMOST, name="rita@example.com")


@pytest.fixture
def prod(make: Callable[[str], Platform]) -> Platform:
    """prod, with the permission sets that its settings name, as an administrator declares and assigns them."""
    platform = make("prod")
    path = platform.root / "Pulumi.prod.yaml"
    stack = yaml.safe_load(path.read_text())
    stack["config"]["rollback:permissionSets"] = {
        "deployers": SETS[DEPLOYER],
        "onCall": SETS[ROLLBACK],
        "approvers": SETS[APPROVER],
        "breakGlass": SETS[BREAK_GLASS],
    }
    path.write_text(yaml.safe_dump(stack, sort_keys=False))
    git(platform.root, "commit", "-qam", "people of Identity Center")
    platform.settings = load(platform.root, "prod")
    _declare(platform)
    return platform


def _declare(platform: Platform) -> None:
    settings, scope = platform.settings, scope_of(platform.settings)
    iam = platform.root_client("iam")
    iam.create_policy_version(
        PolicyArn=arn("iam", settings.region, settings.account, f"policy/{settings.names.boundary}"),
        PolicyDocument=text(boundary(scope)),
        SetAsDefault=True,
    )
    iam.update_assume_role_policy(
        RoleName=settings.names.role(RESTORE),
        PolicyDocument=text(
            trust(scope, settings.repository, settings.names.github_environment(RESTORE), (), ROLLBACK)
        ),
    )
    people = (ALICE_SSO, BOB_SSO, ALICE_APPROVING_SSO, DAN_SSO, OLGA_SSO, READER)
    # Where Identity Center is in us-east-1 the path has no region.
    regions = {SETS[DEPLOYER]: "eu-west-1", SETS[BREAK_GLASS]: "eu-west-1"}
    assign(platform, SETS, people, also={ALMOST: APPROVER}, regions=regions)


def test_one_asks_another_approves_and_the_ledger_says_set_and_person(prod: Platform) -> None:
    prod.story()

    waiting = prod.rollback("lambda", "--reason", REASON, "--json", as_=ALICE_SSO)
    assert waiting.code == 10, str(waiting)
    approved = prod.approve(waiting, as_=BOB_SSO)
    assert approved.code == 0, str(approved)
    applied = prod.rollback("apply", waiting.id, "--json", as_=ALICE_SSO)

    assert applied.code == 0, str(applied)
    record = prod.show(waiting.id, as_=ALICE_SSO)
    for field, person in (("initiated_by", ALICE_SSO), ("approved_by", BOB_SSO)):
        assert permission_set_of(record[field]["role"]) == person.role
        assert record[field]["person"] == person.name
    assert prod.versions() == dict.fromkeys(FUNCTIONS, "2")
    assert prod.rollback("audit", "--json", as_=ALICE_SSO).code == 0


def test_who_has_asked_approves_under_no_other_set(prod: Platform) -> None:
    prod.story()
    waiting = prod.rollback("lambda", "--reason", REASON, "--json", as_=ALICE_SSO)
    before = prod.everything()

    refused = [prod.approve(waiting, as_=person) for person in (ALICE_APPROVING_SSO, ALICE_SSO, DAN_SSO)]

    assert [(run.code, run.error["code"]) for run in refused] == [(3, "APPROVAL_REFUSED")] * 3, "\n".join(
        map(str, refused)
    )
    assert prod.everything() == before


def test_users_of_iam_and_of_identity_center_approve_for_each_other(prod: Platform) -> None:
    prod.story()
    waiting = prod.rollback("lambda", "--reason", REASON, "--json", as_=ALICE_SSO)
    approved = prod.approve(waiting, as_=BOB)
    aborted = prod.rollback("abort", waiting.id, "--reason", REASON, as_=ALICE_SSO)
    asked = prod.waiting()

    assert (approved.code, aborted.code) == (0, 0), f"{approved}\n{aborted}"
    assert prod.approve(asked, as_=BOB_SSO).code == 0
    assert prod.rollback("apply", asked.id, as_=ALICE).code == 0


def test_a_set_whose_name_begins_like_that_of_those_who_approve_approves_nothing(prod: Platform) -> None:
    prod.story()
    waiting = prod.rollback("lambda", "--reason", REASON, "--json", as_=ALICE_SSO)

    refused = prod.approve(waiting, as_=READER)
    by_hand = [_writes_an_approval(prod, person, waiting.id) for person in (READER, DAN_SSO, ALICE_SSO)]

    assert (refused.code, refused.error["code"]) == (3, "APPROVAL_REFUSED"), str(refused)
    assert by_hand == [False] * 3, "the boundary knows the set by its whole name"
    assert _writes_an_approval(prod, BOB_SSO, waiting.id)


def _writes_an_approval(prod: Platform, person: Person, identifier: str) -> bool:
    client = connect("dynamodb", prod.endpoint, prod.settings, prod.variables(person))
    item = {"PK": {"S": f"APPROVAL#{identifier}"}, "SK": {"S": person.name}}
    try:
        client.put_item(TableName=prod.settings.names.deployments_table, Item=item)
    except ClientError as error:
        return error.response["Error"]["Code"] != "AccessDeniedException"
    return True


def test_a_release_is_recorded_and_an_emergency_acted_by_a_set(prod: Platform) -> None:
    recorded = prod.record("v1.0.0", as_=DAN_SSO)
    prod.deploy("v1.1.0")
    again = prod.record("v1.1.0", as_=DAN_SSO)
    emergency = ("lambda", "--emergency", "--reason", REASON, "--although-the-ledger-answers", "--dry-run")

    refused, shown = (prod.rollback(*emergency, as_=person) for person in (ALICE_SSO, OLGA_SSO))

    assert (recorded.code, again.code) == (0, 0), f"{recorded}\n{again}"
    assert permission_set_of(recorded.json["recorded_by"]["role"]) == SETS[DEPLOYER]
    assert refused.code == 3, str(refused)
    assert shown.code == 0, str(shown)


def test_tables_are_restored_from_a_session_of_the_set_and_in_its_own_name_only(prod: Platform) -> None:
    settings = prod.settings
    restore = arn("iam", settings.region, settings.account, f"role/{settings.names.role(RESTORE)}")

    def takes(person: Person, name: str, **more: str) -> str:
        sts = connect("sts", prod.endpoint, settings, prod.variables(person))
        try:
            return str(
                sts.assume_role(RoleArn=restore, RoleSessionName=name, **more)["AssumedRoleUser"]["Arn"]
            )
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    assert takes(ALICE_SSO, ALICE_SSO.name).endswith(f"/{ALICE_SSO.name}")
    assert takes(ALICE_SSO, BOB_SSO.name) == "AccessDenied"
    assert takes(ALICE_SSO, ALICE_SSO.name, SourceIdentity=BOB_SSO.name) == "AccessDenied"
    for person in (BOB_SSO, DAN_SSO, OLGA_SSO, READER):
        assert takes(person, person.name) == "AccessDenied"


def test_login_says_that_a_set_needs_none(prod: Platform) -> None:
    run = prod.rollback("login", "--role", "rollback", "--mfa", "123456", "--json", as_=ALICE_SSO)

    assert (run.code, run.error["code"]) == (3, "WRONG_ROLE"), str(run)
