"""What may be deleted: nothing that anything known of a function speaks for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback.model.identity import Actor
from rollback.model.release import Entry, Quarantine, Timeline, previous
from rollback.model.retention import (
    ARCHIVED,
    CONFIGURED,
    INVOCABLE,
    INVOKED,
    MAPPED,
    PROVISIONED,
    Doomed,
    Published,
    PublishedVersions,
    decide,
    needed_releases,
    ranges,
    reasons,
)
from rollback.util.errors import Refused

DAN = Actor(role="deployer", person="dan")
NUMBERS = st.integers(1, 12)
SOME = st.sets(NUMBERS, max_size=5)
KNOWN = st.builds(
    PublishedVersions,
    published=SOME.map(lambda numbers: [Published(number=number, size=100) for number in numbers]),
    aliases=st.dictionaries(st.sampled_from(["live", "canary", "old"]), SOME, max_size=3),
    needed=st.dictionaries(NUMBERS, st.just(("release v1",)), max_size=5),
    newest=st.none() | NUMBERS,
    used=st.dictionaries(st.integers(1, 12), st.just("a mapping"), max_size=5),
)
SERVICES = ("teams", "roles")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["release", "back"]),
        st.integers(1, 6).map(lambda n: f"v{n}"),
        st.sampled_from([SERVICES, SERVICES[:1], SERVICES[1:]]),
    ),
    max_size=14,
)
QUARANTINES = st.sets(
    st.tuples(st.sampled_from(SERVICES), st.integers(1, 6).map(lambda n: f"v{n}")), max_size=4
).map(
    lambda pairs: [
        Quarantine(service=service, version=version, reason="bad", by=DAN, at="")
        for service, version in sorted(pairs)
    ]
)


def timeline(steps: list[tuple[str, str, tuple[str, ...]]]) -> Timeline:
    """What was done, oldest first: releases recorded, and services brought back."""
    entries: list[Entry] = []
    deployed: dict[str, str] = {}
    for seq, (kind, version, services) in enumerate(steps, start=1):
        deployed |= dict.fromkeys(services, version)
        entries.append(
            Entry(
                seq=seq,
                kind="deployment" if kind == "release" else "rollback",
                id=f"D{seq}",
                version=version if kind == "release" else "",
                at="",
                by=DAN,
                services=services,
                stands=dict(deployed),
                covers="",
            )
        )
    return Timeline(reversed(entries))


@given(KNOWN)
def test_no_version_goes_that_anything_needs(known: PublishedVersions) -> None:
    step = decide("teams-get", "teams", known)

    gone = {version.number for version in step.delete}
    for used in known.aliases.values():
        assert not gone & set(used)
    assert not gone & set(known.needed)
    assert not gone & set(known.used)
    assert not gone or known.newest is not None
    assert all(number <= (known.newest or 0) for number in gone)


@given(KNOWN)
def test_every_version_goes_or_stays_with_a_reason_and_none_is_made_up(known: PublishedVersions) -> None:
    step = decide("teams-get", "teams", known)

    gone, stays = [one.number for one in step.delete], list(map(int, step.kept))
    assert sorted([*gone, *stays]) == sorted(one.number for one in known.published)
    assert gone == sorted(gone)
    assert all(step.kept.values())
    assert step.frees == 100 * len(gone)
    assert step.changes is bool(gone)


@given(KNOWN)
def test_what_nothing_needs_goes(known: PublishedVersions) -> None:
    idle = replace(known, aliases={}, needed={}, newest=99, used={})

    assert len(decide("teams-get", "teams", idle).delete) == len(known.published)


@given(STEPS, QUARANTINES, st.integers(2, 4))
def test_each_service_keeps_its_newest_releases_what_is_deployed_and_what_previous_gives(
    steps: list[tuple[str, str, tuple[str, ...]]], quarantines: list[Quarantine], keep: int
) -> None:
    whole = timeline(steps)

    needed = needed_releases(whole, SERVICES, quarantines, keep)

    for service in SERVICES:
        quarantined = {quarantine.version for quarantine in quarantines if quarantine.service == service}
        recorded = [entry.version for entry in whole if entry.is_release and service in entry.services]
        free = [version for version in dict.fromkeys(recorded) if version not in quarantined]
        assert set(free[:keep]) <= set(needed[service])
        assert quarantined & set(recorded) <= set(needed[service])
        assert whole.all_deployed.get(service) in {None, *needed[service]}
        try:
            assert previous(whole, [service], quarantines)[service] in needed[service]
        except Refused:
            continue
        # And not everything: what was recorded before all of these goes.
        assert len(needed[service]) <= keep + 2 + len(quarantined)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [((), ""), ((3,), "3"), ((1, 2), "1–2"), ((5, 1, 2, 3, 9), "1–3, 5, 9")],
)
def test_numbers_are_reported_in_runs(numbers: tuple[int, ...], text: str) -> None:
    assert ranges(numbers) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (12_345_678, "12.3 MB")]
)
def test_a_step_shows_what_it_frees_as_a_person_reads_it(size: int, text: str) -> None:
    step = Doomed(function="f", service="s", delete=(Published(number=1, size=size),), kept={})

    assert step.lines == (f"f deletes 1 ({text})",)


def kept(function: str, **why: str) -> Doomed:
    """A function's step that deletes nothing: `v3="release v1"` keeps version 3."""
    held = {number.removeprefix("v"): one for number, one in why.items()}
    return Doomed(function=function, service="teams", delete=(), kept=held)


@pytest.mark.finding("A7")
def test_what_keeps_most_versions_is_the_first_reason_and_each_has_its_own() -> None:
    steps = [
        kept("f", v7="record R1", v8="release v1", v9="alias live, v2 stands, release v2"),
        kept("g", v1="release v1, provisioned concurrency", v2="alias live, v2 stands"),
        kept("h", v4="release v1"),
    ]

    found = [(reason.versions, reason.why) for reason in reasons(steps, "dev")]

    assert found[0] == (3, "release v1")
    assert {why for count, why in found[1:3] if count == 2} == {"alias live", "v2 is deployed"}
    assert {why for count, why in found[3:] if count == 1} == {
        "record R1",
        "release v2",
        "provisioned concurrency",
    }


@pytest.mark.finding("A7")
@pytest.mark.parametrize(
    ("why", "command"),
    [
        ("v1 is quarantined", 'rollback release lift v1 --env dev --reason "…"'),
        ("record R1", "rollback show R1 --env dev"),
        ("alias old", "aws lambda delete-alias --function-name f --name old"),
        (
            "newer than the newest recorded release",
            "rollback release record --env dev --version … --commit …",
        ),
        ("no kept release holds the function", "rollback release record --env dev --version … --commit …"),
        (
            PROVISIONED,
            "aws lambda delete-provisioned-concurrency-config --function-name f --qualifier 3",
        ),
        (INVOCABLE, "aws lambda get-policy --function-name f --qualifier 3"),
        (MAPPED, "aws lambda list-event-source-mappings --function-name f:3"),
        (CONFIGURED, "aws lambda delete-function-event-invoke-config --function-name f --qualifier 3"),
        (INVOKED, ""),
        (ARCHIVED, ""),
        ("v1 stands", ""),
        ("previous is v1", ""),
    ],
)
def test_a_reason_to_keep_a_version_has_what_frees_it_or_says_why_nothing_does(
    why: str, command: str
) -> None:
    (reason,) = reasons([kept("f", v3=why)], "dev")

    assert reason.command == command
    assert reason.command or reason.beside


@pytest.mark.finding("A7")
def test_of_kept_releases_the_third_is_freed_by_keeping_two_and_the_two_newest_by_nothing() -> None:
    step = kept("f", v9="release v9", v7="release v7", v5="release v5")

    found = {reason.why: reason.command for reason in reasons([step], "dev")}

    assert found == {
        "release v9": "",
        "release v7": "",
        "release v5": "rollback prune --env dev --keep 2",
    }


@pytest.mark.finding("A7")
def test_the_alias_that_deployments_move_is_not_to_be_deleted() -> None:
    steps = [kept("f", v3="alias live, v2 stands", v2="alias old"), kept("g", v1="alias live")]

    found = {reason.why: reason.command for reason in reasons(steps, "dev")}

    assert found["alias live"] == ""
    assert found["alias old"].startswith("aws lambda delete-alias")


@pytest.mark.finding("A7")
def test_a_step_has_a_line_for_each_reason() -> None:
    step = kept("f", v3="release v1", v2="release v1, v1 is quarantined", v1="v1 stands")

    assert step.lines == (
        "f deletes nothing",
        "f keeps 2–3: release v1",
        "f keeps 2: v1 is quarantined",
        "f keeps 1: v1 is deployed",
    )
