"""A Terraform plan's JSON: what is counted, what is told of it, and what is left of it after a crash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from rollback.model.events import Happened
from rollback.model.plan import Plan
from rollback.model.record import Event
from rollback.model.request import TerraformRequest
from rollback.model.resource_changes import CREATE, DELETE, REPLACE, SAME, UPDATE, ResourceChange
from rollback.targets.progress import counts
from rollback.targets.terraform import plan_json
from rollback.targets.terraform.events import (
    ApplyEnded,
    Replanned,
    TerraformAdopted,
    TerraformChanged,
    TerraformPutBack,
    TerraformResource,
    TerraformReverted,
)
from rollback.targets.terraform.plan_json import (
    CHANGED,
    REVERTED,
    addresses,
    beyond,
    counted,
    lost,
    outcomes,
    steps,
)
from rollback.util.errors import Code, RollbackError
from tests.coded import coded
from tests.doubles.journal import Memory

TABLE, API = "aws_dynamodb_table.access", "aws_api_gateway_rest_api.access"


def resource(address: str, *actions: str, mode: str = "managed", **more: Any) -> dict[str, Any]:
    change = {"actions": list(actions), "before": more.pop("before", None), "after": more.pop("after", None)}
    change |= {name: more.pop(name) for name in list(more) if name in ("after_unknown", "importing")}
    change |= {name: more.pop(name) for name in list(more) if name.endswith("_sensitive")}
    return {"address": address, "mode": mode, "type": address.partition(".")[0], "change": change, **more}


def shown(*resources: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"resource_changes": list(resources), **more}


def journal(*events: Happened) -> Sequence[Event]:
    memory = Memory()
    for data in events:
        memory.append(data)
    return memory.events


def wrote(kind: str, *items: tuple[str, str, str]) -> Happened:
    resources = tuple(TerraformResource(address=a, action=b, id=c) for a, b, c in items)
    one = TerraformChanged if kind == CHANGED else TerraformPutBack
    return one(resources=resources)


def planned(*changes: ResourceChange) -> Plan[ResourceChange]:
    return Plan(
        kind="terraform",
        environment="dev",
        account="111122223333",
        region="eu-west-1",
        request=TerraformRequest(),
        from_version="bad",
        to_version="good",
        leaves={},
        targets={},
        quarantines={},
        steps=changes,
    )


@pytest.mark.parametrize(
    ("actions", "op"),
    [
        (["create"], CREATE),
        (["update"], UPDATE),
        (["delete"], DELETE),
        (["delete", "create"], REPLACE),
        (["create", "delete"], REPLACE),
        (["no-op"], SAME),
    ],
)
def test_every_action_is_counted_once_and_under_its_name(actions: list[str], op: str) -> None:
    found = steps(shown(resource(TABLE, *actions)), "key")

    assert counted(found) == {**dict.fromkeys((CREATE, UPDATE, REPLACE, DELETE, SAME), 0), op: 1}


def test_nothing_counts_as_nothing() -> None:
    found = steps(
        shown(resource("data.aws_region.here", "read", mode="data"), resource(TABLE, "read")), "key"
    )

    assert found == ()
    assert set(counted(found).values()) == {0}


def test_outputs_moves_and_imports_are_one_step_that_is_no_resource() -> None:
    plan = shown(
        resource(TABLE, "no-op", previous_address="aws_dynamodb_table.old"),
        resource(API, "no-op", importing={"id": "x"}),
        output_changes={"name": {"actions": ["update"]}, "same": {"actions": ["no-op"]}},
    )

    *_, state = steps(plan, "key")

    assert state.properties == ("output name", f"aws_dynamodb_table.old → {TABLE}", f"import {API}")
    assert state.changes
    assert counted(steps(plan, "key"))[UPDATE] == 0


def test_the_properties_that_change_are_named_and_those_that_only_turn_out() -> None:
    (change,) = steps(
        shown(
            resource(
                API,
                "update",
                before={"name": "acme-dev-apigw", "description": "bad", "tags": {"a": "1"}},
                after={"name": "acme-dev-apigw", "description": "good", "tags": {"a": "1"}},
                after_unknown={"arn": True},
            )
        ),
        "key",
    )

    assert change.properties == ("arn", "description")
    assert change.unknown == ("arn",)
    assert change.name == "acme-dev-apigw"


def test_a_secret_is_reported_as_a_keyed_hash_only() -> None:
    def change(secret: str, key: str) -> ResourceChange:
        values = {"name": secret, "password": secret}
        mask = {"name": True, "password": True}
        return steps(
            shown(resource("aws_db_instance.a", "update", before={}, after=values, after_sensitive=mask)), key
        )[0]

    assert "hunter2" not in str(change("hunter2", "key"))
    assert change("hunter2", "key").content == change("hunter2", "key").content
    assert change("hunter2", "key").content != change("hunter3", "key").content
    assert change("hunter2", "key").content != change("hunter2", "another").content


def test_what_terraform_would_merely_forget_is_reported_as_such() -> None:
    (change,) = steps(shown(resource(TABLE, "forget")), "key")

    assert (change.op, change.retains) == (DELETE, True)


def test_an_old_object_that_was_left_behind_is_a_step_of_its_own() -> None:
    found = steps(shown(resource(API, "update"), resource(API, "delete", deposed="ab12")), "key")

    assert [change.urn for change in found] == [API, f"{API} (deposed ab12)"]


def test_an_action_that_nobody_knows_is_refused() -> None:
    with pytest.raises(RollbackError, match="teleport", check=coded(Code.CLIENT_OUTDATED)):
        steps(shown(resource(TABLE, "teleport")), "key")


def test_a_role_policy_is_known_by_its_role() -> None:
    (change,) = steps(
        shown(resource("aws_iam_role_policy.a", "delete", before={"id": "acme-dev-role:p", "name": "p"})),
        "key",
    )

    assert change.name == "acme-dev-role:p"


# -- after a crash -------------------------------------------------------------------------------------------


def change(urn: str, op: str) -> ResourceChange:
    return ResourceChange(urn=urn, type=urn.partition(".")[0], op=op)


@pytest.mark.parametrize(
    ("approved", "left"),
    [
        (CREATE, CREATE),
        (CREATE, UPDATE),
        (CREATE, REPLACE),
        (REPLACE, CREATE),
        (REPLACE, DELETE),
        (DELETE, DELETE),
    ],
)
def test_what_is_left_of_what_was_approved_goes_on(approved: str, left: str) -> None:
    assert beyond([change(API, left), change(TABLE, SAME)], [change(API, approved)]) == []


@pytest.mark.parametrize(
    ("approved", "left"), [(UPDATE, REPLACE), (UPDATE, DELETE), (DELETE, CREATE), (SAME, UPDATE)]
)
def test_what_is_more_than_was_approved_does_not(approved: str, left: str) -> None:
    assert beyond([change(API, left)], [change(API, approved)]) == [change(API, left)]


def test_an_old_object_of_an_approved_replacement_may_still_go() -> None:
    assert beyond([change(f"{API} (deposed ab12)", DELETE)], [change(API, REPLACE)]) == []


def test_half_a_replacement_is_not_done() -> None:
    plan = planned(change(API, REPLACE), change(TABLE, UPDATE))
    half = wrote(CHANGED, (API, "delete", ""), (TABLE, "update", ""))

    assert counts(outcomes(plan, journal(half)))["moved"] == 1
    assert counts(outcomes(plan, journal(half, wrote(CHANGED, (API, "create", "2")))))["moved"] == 2


def test_an_apply_that_went_through_has_done_everything() -> None:
    plan = planned(change(API, UPDATE), change(plan_json.STATE, UPDATE), change(TABLE, SAME))

    outcome = counts(outcomes(plan, journal(ApplyEnded(code=0, touched=True, all=True))))

    found = {"planned": 2, "moved": 2, "confirmed": 0, "failed": 0, "reverted": 0, "untouched": 0}
    assert outcome == found


def test_what_a_new_plan_no_longer_has_is_done() -> None:
    plan = planned(change(API, UPDATE), change(TABLE, UPDATE))

    document = plan_json.outcomes(plan, journal(Replanned(remaining=(TABLE,), sha256="")))

    assert [item["outcome"] for item in document] == ["updated", "untouched"]


def test_what_has_to_be_made_again_is_not_done() -> None:
    plan = planned(change(API, CREATE))
    again = (wrote(CHANGED, (API, "create", "1")), Replanned(remaining=(API,), sha256=""))

    assert counts(outcomes(plan, journal(*again)))["moved"] == 0
    assert counts(outcomes(plan, journal(*again, wrote(CHANGED, (API, "create", "2")))))["moved"] == 1


def test_what_was_reverted_is_reported_as_that() -> None:
    plan = planned(change(API, UPDATE), change(TABLE, UPDATE))

    outcome = counts(
        outcomes(plan, journal(wrote(CHANGED, (API, "update", "")), TerraformReverted(commit="bad")))
    )

    found = {"planned": 2, "moved": 0, "confirmed": 0, "failed": 0, "reverted": 1, "untouched": 1}
    assert outcome == found


def state(**objects: str) -> dict[str, Any]:
    return {
        "resources": [
            {
                "mode": "managed",
                "type": "aws_api_gateway_rest_api",
                "name": name,
                "instances": [{"attributes": {"id": identifier}}],
            }
            for name, identifier in objects.items()
        ]
    }


def test_an_address_is_spelled_as_terraform_does() -> None:
    instances = [
        {"index_key": 0, "attributes": {"id": "a"}},
        {"index_key": "k", "attributes": {"id": "b"}},
        {"index_key": 0, "deposed": "ab12", "attributes": {"id": "c"}},
    ]
    one = {"module": 'module.m["x"]', "mode": "managed", "type": "t", "name": "n", "instances": instances}

    assert addresses({"resources": [one, {"mode": "data"}]}) == {
        'module.m["x"].t.n[0]': "a",
        'module.m["x"].t.n["k"]': "b",
    }


def test_what_was_made_and_is_not_in_the_state_is_found() -> None:
    events = journal(wrote(CHANGED, (API, "create", "new"), (TABLE, "update", "t")))

    assert lost(events, {}, CHANGED) == {API: "new"}
    assert lost(events, state(access="new"), CHANGED) == {}
    assert lost(events, {}, REVERTED) == {}


def test_a_replacement_whose_new_object_is_not_in_the_state_is_found() -> None:
    first_deleted = journal(wrote(CHANGED, (API, "delete", "old"), (API, "create", "new")))
    first_created = journal(wrote(CHANGED, (API, "create", "new"), (API, "delete", "old")))

    assert lost(first_deleted, state(access="old"), CHANGED) == {API: "new"}
    assert lost(first_created, state(access="old"), CHANGED) == {API: "new"}


def test_what_an_undo_took_away_or_was_adopted_is_not_looked_for() -> None:
    made = wrote(CHANGED, (API, "create", "new"))

    assert lost(journal(made, wrote(REVERTED, (API, "delete", "new"))), {}, CHANGED) == {}
    assert lost(journal(made, TerraformAdopted(address=API, id="new", failed="")), {}, CHANGED) == {}


@pytest.mark.finding("P6")
@pytest.mark.parametrize(
    ("before", "after", "is_drift"),
    [
        ({"name": "q", "tags": None}, {"name": "q", "tags": {}}, False),
        ({"name": "q", "ttl": [{"enabled": False}]}, {"name": "q", "ttl": []}, False),
        ({"name": "q"}, {"name": "q"}, False),
        ({"name": "q", "tags": None}, {"name": "q", "tags": {"owner": "me"}}, True),
        ({"name": "q", "encrypted": True}, {"name": "q", "encrypted": False}, True),
        ({"name": "q"}, None, True),
    ],
)
def test_only_what_was_changed_is_said_to_be(before: Any, after: Any, is_drift: bool) -> None:
    moved = {
        "address": 'module.q["x"].aws_dynamodb_table.t',
        "previous_address": "module.q.aws_dynamodb_table.t",
        "change": {"actions": ["update"], "before": before, "after": after},
    }

    assert bool(plan_json.drifted({"resource_drift": [moved]})) is is_drift
    assert plan_json.drifted({"resource_drift": None}) == []
