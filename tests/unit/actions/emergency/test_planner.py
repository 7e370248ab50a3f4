"""Where to go back to without the ledger: by what the archive has and the aliases stand at."""

from __future__ import annotations

from typing import Any

import pytest

from rollback.aws.functions import AliasSeen
from rollback.emergency.planner import (
    Now,
    Quarantined,
    named,
    previous,
    quarantined,
    relation,
)
from rollback.model.identity import Actor
from rollback.model.record import DeployedVersion
from rollback.model.release import Entry, Release, manifest_hash
from rollback.util.errors import Refused, UsageError

DAN = Actor(role="deployer", person="dan")
SERVICES = {"teams": ("get", "list"), "roles": ("role",)}


def release(version: str, *, adopted: bool = False, **versions: int) -> Release:
    manifest = {
        name: DeployedVersion(version=str(number), code_sha256=f"{name}-{number}")
        for name, number in versions.items()
    }
    return Release(
        deployment_id=version,
        version=version,
        environment="dev",
        commit="",
        stack_commit=None,
        terraform_commit=None,
        recorded_by=DAN,
        recorded_at="",
        services=tuple(SERVICES),
        manifest_hash=manifest_hash(manifest),
        functions=len(manifest),
        adopted=adopted,
        manifest=manifest,
    )


def now(sha: str = "", **versions: int) -> dict[str, Now]:
    return {
        name: Now(
            alias=AliasSeen(version=str(number), revision_id="r", weights={}),
            code_sha256=sha or f"{name}-{number}",
        )
        for name, number in versions.items()
    }


V1, V2, V3 = (release(f"v{n}", get=n, list=n, role=n) for n in (1, 2, 3))
ALL = [V3, V2, V1]


def entry(seq: int, **more: Any) -> Entry:
    result = {
        "kind": "rollback",
        "version": "",
        "at": f"day {seq}",
        "services": (),
        "stands": {},
        "covers": "",
    }
    return Entry(seq=seq, id=str(seq), by=DAN, **result | more)


def test_previous_is_the_newest_release_that_was_recorded_before_the_deployed_one() -> None:
    choice = previous(ALL, SERVICES, now(get=3, list=3, role=3), Quarantined())

    assert {service: one.version for service, one in choice.targets.items()} == {"teams": "v2", "roles": "v2"}
    assert choice.leaves == {"teams": "v3", "roles": "v3"}


def test_each_service_has_a_previous_of_its_own() -> None:
    choice = previous(ALL, SERVICES, now(get=2, list=2, role=3), Quarantined())

    assert {service: one.version for service, one in choice.targets.items()} == {"teams": "v1", "roles": "v2"}


def test_after_a_rollback_the_release_that_was_left_is_not_previous() -> None:
    choice = previous(ALL, {"roles": ("role",)}, now(role=2), Quarantined())

    assert choice.targets["roles"] is V1


def test_a_release_that_could_not_be_recorded_goes_back_to_the_newest_that_was() -> None:
    choice = previous(ALL, {"roles": ("role",)}, now(role=7), Quarantined())

    assert choice.targets["roles"] is V3
    assert choice.leaves == {}, "nobody knows its name, so nothing of it can be barred"


def test_an_adopted_release_is_taken_last_where_its_age_is_not_known() -> None:
    old = release("v0", adopted=True, role=1)

    choice = previous([old, V3, V2], {"roles": ("role",)}, now(role=7), Quarantined())

    assert choice.targets["roles"] is V3


def test_a_quarantined_release_is_passed_over() -> None:
    known = Quarantined(keys=frozenset({"roles#v2"}))

    choice = previous(ALL, {"roles": ("role",)}, now(role=3), known)

    assert choice.targets["roles"] is V1


OF_DRILL = release("drill-01M88G64H0GP9H62KJ3KXQN5FB", get=2, list=2, role=2)


def test_what_a_drill_made_bad_is_passed_over() -> None:
    choice = previous([V3, OF_DRILL, V1], SERVICES, now(get=3, list=3, role=3), Quarantined())

    assert choice.targets == {"teams": V1, "roles": V1}


def test_where_nothing_is_older_it_is_refused_by_service() -> None:
    with pytest.raises(Refused, match="no usable previous release for roles"):
        previous(ALL, SERVICES, now(get=3, list=3, role=1), Quarantined())


def test_only_as_many_manifests_are_read_as_are_needed() -> None:
    read = []

    def releases() -> Any:
        for one in ALL:
            read.append(one.version)
            yield one

    previous(releases(), SERVICES, now(get=3, list=3, role=3), Quarantined())

    assert read == ["v3", "v2"]


@pytest.mark.parametrize(
    ("seen", "how"),
    [
        (now(get=2, list=2), "stands"),
        (now(get=3, list=2), "older"),
        (now(get=3, list=1), "other"),
        (now(get=1, list=1), "other"),
        # The function was deleted and made anew: its numbers began again.
        (now(sha="other code", get=2, list=2), "other"),
        (now(get=10, list=9), "older"),
        ({}, "other"),
    ],
)
def test_how_a_release_relates_to_what_is_deployed(seen: dict[str, Now], how: str) -> None:
    assert relation(V2, ("get", "list"), seen) == how


def test_a_named_release_is_found_and_what_is_deployed_is_reported() -> None:
    choice = named(ALL, SERVICES, now(get=3, list=3, role=9), "v1")

    assert choice.targets == {"teams": V1, "roles": V1}
    assert choice.leaves == {"teams": "v3"}


def test_a_release_that_the_archive_has_not_is_answered_with_those_it_has() -> None:
    with pytest.raises(UsageError) as raised:
        named([OF_DRILL, *ALL], SERVICES, now(get=3, list=3, role=3), "v9")

    assert raised.value.next == "Releases in the archive: v3, v2, v1."


def test_what_the_archive_reports_quarantines_is_what_was_quarantined_and_not_lifted() -> None:
    lines = [
        entry(1),
        entry(2, bars=("teams#v3", "teams#v2")),
        entry(3, lifts=("teams#v3",), kind="lift"),
        entry(4, bars=("roles#v1",)),
    ]

    known = quarantined(lines)

    assert known.keys == {"teams#v2", "roles#v1"}
    assert known.until == "day 4"
    assert ("teams", "v2") in known
    assert ("roles", "v2") not in known
