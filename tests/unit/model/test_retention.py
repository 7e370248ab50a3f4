"""What may be deleted: nothing that anything known of a function speaks for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback.core.errors import Refused
from rollback.model.identity import Actor
from rollback.model.release import Entry, Quarantine, Timeline, previous
from rollback.model.retention import Doomed, Published, PublishedVersions, decide, needed_releases, ranges

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

    assert step.lines == (f"f deletes 1 ({text}); keeps nothing",)
