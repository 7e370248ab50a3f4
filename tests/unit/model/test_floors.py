"""Which target is below a release that must not be rolled back past: by the order of recording, for each service."""

from __future__ import annotations

from typing import Any

import pytest

from rollback.model.floors import below, commit_below, of_timeline
from rollback.model.identity import Actor
from rollback.model.release import (
    STACK,
    Entry,
    Quarantine,
    Timeline,
    as_item,
    entry_hash,
    past,
    previous,
    previous_position,
)
from rollback.util.errors import Code, Refused

DAN = Actor(role="deployer", person="dan")
BOTH = ("teams", "roles")


def entry(version: str, not_below: str = "", services: tuple[str, ...] = BOTH, **more: Any) -> Entry:
    stands = more.pop("stands", dict.fromkeys(services, version))
    usual = {"seq": 0, "kind": "deployment", "id": version, "at": "t", "by": DAN, "covers": ""}
    return Entry(**{**usual, **more}, version=version, services=services, stands=stands, not_below=not_below)


def under(entries: list[Entry], **targets: str) -> dict[str, str]:
    """Service → the floor's release, of a timeline that is given oldest first."""
    found = below(of_timeline(reversed(entries)), targets)
    return {name: floor.release for name, floor in found.items()}


def test_nothing_goes_below_a_release_that_must_not_be_rolled_back_past() -> None:
    told = [entry("v1"), entry("v2"), entry("v3", "v3"), entry("v4")]

    assert under(told, teams="v2", roles="v1") == {"teams": "v3", "roles": "v3"}
    assert under(told, teams="v3", roles="v4") == {}


def test_a_floor_may_be_an_older_release_than_the_one_that_sets_it() -> None:
    told = [entry("v1"), entry("v2"), entry("v3", "v2")]

    assert under(told, teams="v2") == {}
    assert under(told, teams="v1") == {"teams": "v2"}


def test_it_holds_after_the_release_that_set_it_was_rolled_back_since_that_undoes_no_migration() -> None:
    back = entry("v2", kind="rollback", status="COMPLETE")
    told = [entry("v1"), entry("v2"), entry("v3", "v2"), back]

    assert under(told, teams="v1") == {"teams": "v2"}


def test_a_floor_is_of_the_services_of_its_release_alone() -> None:
    told = [entry("v1"), entry("v2", "v2", ("teams",)), entry("v3")]

    assert under(told, teams="v1", roles="v1") == {"teams": "v2"}


def test_what_is_recorded_again_on_top_is_not_older() -> None:
    assert under([entry("v1"), entry("v2", "v2"), entry("v1")], teams="v1") == {}


def test_what_was_adopted_is_of_the_past_unless_it_was_deployed() -> None:
    told = [entry("v2", "v2"), entry("v3"), entry("v1", kind="adoption", stands={})]

    assert under(told, teams="v1") == {"teams": "v2"}
    assert under([entry("v3"), entry("v1", kind="adoption", stands={})], teams="v1") == {}
    assert under([entry("v2", "v2"), entry("v5", kind="adoption")], teams="v5") == {}


def test_what_is_deployed_is_gone_below_by_nobody() -> None:
    told = [entry("v1"), entry("v2", "v2"), entry("v1", kind="rollback", status="COMPLETE")]

    assert below(of_timeline(reversed(told)), {"teams": "v1"}, {"teams": "v1"}) == {}


def test_previous_is_refused_below_a_floor_and_given_where_that_is_allowed() -> None:
    told = [entry("v1"), entry("v2", "v2", seq=2)]

    with pytest.raises(Refused) as refused:
        previous(Timeline(reversed(told)), BOTH, [])

    assert refused.value.code is Code.BELOW_FLOOR
    assert "--allow-below" in refused.value.next
    assert "v2 was recorded with --not-below v2" in refused.value.what
    assert previous(Timeline(reversed(told)), BOTH, [], allow_below=True) == dict.fromkeys(BOTH, "v1")


def test_what_comes_next_never_advises_to_go_below() -> None:
    told = [entry("v1"), entry("v2", "v2")]
    quarantined = [Quarantine(service=name, version="v2", reason="", by=DAN, at="t") for name in BOTH]

    assert past(Timeline(reversed(told)), BOTH, quarantined).good == {}
    assert past(Timeline(reversed(told)), BOTH, []).good == dict.fromkeys(BOTH, "v2")


def test_a_commit_is_below_by_the_order_in_which_it_was_deployed_and_else_by_its_history() -> None:
    told = [
        entry(version, floor, (STACK,), stands={STACK: commit})
        for version, floor, commit in (("v1", "", "c1"), ("v2", "v2", "c2"), ("v3", "", "c3"))
    ]
    newest_first = list(reversed(told))

    assert commit_below(newest_first, STACK, "c1")[STACK].release == "v2"
    assert commit_below(newest_first, STACK, "c2") == {}
    assert commit_below(newest_first, STACK, "c3") == {}
    assert commit_below(newest_first, STACK, "c0", is_ancestor=lambda *_: True)[STACK].release == "v2"
    assert commit_below(newest_first, STACK, "c9", is_ancestor=lambda *_: False) == {}
    assert commit_below(newest_first, STACK, "cx"), "where its history is not known, in doubt"
    assert commit_below(newest_first, STACK, "c1", "c1") == {}, "it is deployed"
    with pytest.raises(Refused) as refused:
        previous_position(Timeline(iter(newest_first[1:])), STACK, [])
    assert refused.value.code is Code.BELOW_FLOOR


def test_an_entry_that_sets_no_floor_is_stored_and_hashed_as_before() -> None:
    plain = entry("v1")

    assert "not_below" not in as_item(plain)
    assert entry_hash(plain) != entry_hash(entry("v1", "v1"))
    assert entry_hash(plain) == "8f4f2e32ad3d57bca8283c12273c724b380318c6cd4402b391cf40dde5ecfe96"
