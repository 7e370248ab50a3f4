"""What an imported journal says of what stands."""

from __future__ import annotations

from typing import Any

import pytest

from rollback.aws.functions import AliasSeen
from rollback.emergency.importer import deployed_after, difference
from rollback.model.alias_moves import Move
from rollback.model.deployed import UNKNOWN
from rollback.model.identity import Actor
from rollback.model.record import DeployedVersion, Event
from tests.doubles.records import a_plan

OLGA = Actor(role="break-glass", person="olga")
PLAN = a_plan(
    *(
        Move(
            function=name,
            service=service,
            from_version="2",
            to_version="1",
            code_sha256=name,
            revision_id="r",
        )
        for name, service in (("get", "teams"), ("list", "teams"), ("role", "roles"))
    ),
    targets={"teams": "v1", "roles": "v1"},
)


def event(kind: str, **data: Any) -> Event:
    return Event(number=1, kind=kind, at="", by=OLGA, data=data, previous="", hash="")


def moved(*names: str) -> Event:
    return event("moved", functions=dict.fromkeys(names, "r2"))


def back(*names: str) -> Event:
    return event("reverted", functions=dict.fromkeys(names, "r3"))


LOST = event("failed", failures=[{"subject": "role", "reason": "", "foreign": False, "refused": False}])


@pytest.mark.parametrize(
    ("events", "since", "deployed"),
    [
        ([moved("get", "list", "role")], [], {"teams": "v1", "roles": "v1"}),
        ([moved("get", "list")], [], {"teams": "v1", "roles": UNKNOWN}),
        ([moved("get")], [], {"teams": UNKNOWN, "roles": UNKNOWN}),
        ([moved("get", "list"), back("get")], [], {"teams": UNKNOWN, "roles": UNKNOWN}),
        ([moved("get", "list"), back("get", "list")], [], {"teams": "v2", "roles": UNKNOWN}),
        ([moved("get", "list", "role")], ["list"], {"teams": UNKNOWN, "roles": "v1"}),
        ([LOST], [], {"teams": "v2", "roles": UNKNOWN}),
    ],
)
def test_a_service_is_at_a_release_only_where_all_of_its_functions_are_known_to(
    events: list[Event], since: list[str], deployed: dict[str, str]
) -> None:
    assert deployed_after(PLAN, events, since) == deployed


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (AliasSeen(version="1", revision_id="any", weights={"2": 0.25}), ""),
        (AliasSeen(version="2", revision_id="any", weights={"2": 0.25}), "it is at version 2"),
        (AliasSeen(version="1", revision_id="any", weights={}), "weights none"),
        (None, "its alias no longer exists"),
    ],
)
def test_an_alias_differs_by_version_and_weights(seen: AliasSeen | None, expected: str) -> None:
    left = DeployedVersion(version="1", code_sha256="", weights={"2": 0.25})

    forecasted = difference("get", left, seen)

    assert (expected in forecasted) if expected else forecasted == ""
