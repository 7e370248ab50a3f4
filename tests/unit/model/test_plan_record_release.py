"""Values that decide: canonical text, digests, plans in parts, "previous", labels, chains."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollback.ledger.store import _read, _written
from rollback.model.alias_moves import Move
from rollback.model.deployed import UNKNOWN
from rollback.model.identity import Actor
from rollback.model.plan import Plan, from_chunks, to_chunks
from rollback.model.record import Entered, Event, Record, chain_break, next_event, seconds_between
from rollback.model.release import Entry, Quarantine, Timeline, checked_version, label, previous
from rollback.model.request import AliasesRequest
from rollback.targets.aliases.planner import _left_behind
from rollback.util.canonical import canonical, digest, plain
from rollback.util.errors import Code, Refused, UsageError
from tests.coded import coded
from tests.doubles.records import a_record

ALICE = Actor(role="rollback", person="alice")
BOB = Actor(role="rollback", person="bob")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-(10**15), 10**15) | st.floats(1e-6, 1e6)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


# -- canonical ----------------------------------------------------------------------------------------


@given(JSON)
def test_a_value_hashes_alike_before_and_after_the_table_had_it(value: Any) -> None:
    back = _read(_written({"value": value}))["value"]

    assert digest(back) == digest(value)


@given(st.dictionaries(TEXT, JSON, max_size=6), st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, Any], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)

    assert canonical({key: value[key] for key in keys}) == canonical(value)


def test_different_values_have_different_texts_and_equal_ones_the_same() -> None:
    """Of values that are easily taken for each other, alone and inside each other, any two."""
    atoms = [None, False, True, 0, 1, 1.0, -1, 0.1, "", "0", "1", "true", "null", "[]", "{}", '"', "a"]
    pairs = list(itertools.product(atoms, repeat=2))
    values: list[Any] = [
        *atoms, [], {}, *([one] for one in atoms), *map(list, pairs), *({"a": one} for one in atoms),
        *({"a": one, "1": other} for one, other in pairs), *([[one], other] for one, other in pairs),
    ]  # fmt: skip
    known = [(canonical(value), _typed(plain(value))) for value in values]

    mistaken = [
        (text, another)
        for (text, value), (another, other) in itertools.combinations(known, 2)
        if (text == another) != (value == other)
    ]

    assert mistaken == []


def _typed(value: Any) -> Any:
    """JSON tells true from 1, Python does not."""
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return (isinstance(value, bool), value)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        canonical({"when": object()})


# -- plans ---------------------------------------------------------------------------------------------


def move(number: int, **changed: Any) -> Move:
    return Move(
        **{
            "function": f"bbws-access-prod-lambda-{'x' * 30}-{number:05d}",
            "service": f"service_{number % 50}",
            "from_version": "120",
            "to_version": "119",
            "code_sha256": "a" * 44,
            "revision_id": f"{number:036d}",
            "weights": {"121": 0.1},
            **changed,
        }
    )


def plan(*steps: Move, **changed: Any) -> Plan[Move]:
    services = sorted({step.service for step in steps})
    return Plan(
        **{
            "kind": "aliases",
            "environment": "prod",
            "account": "093646564004",
            "region": "af-south-1",
            "request": AliasesRequest(),
            "from_version": "v2",
            "to_version": "v1",
            "leaves": dict.fromkeys(services, "v2"),
            "targets": dict.fromkeys(services, "v1"),
            "quarantines": dict.fromkeys(services, "v2"),
            "steps": steps,
            **changed,
        }
    )


def test_a_plan_of_five_thousand_functions_fits_items_and_comes_back_the_same() -> None:
    big = plan(*(move(number) for number in range(5000)))

    chunks = to_chunks(big)

    assert max(len(chunk.encode()) for chunk in chunks) < 400_000
    assert from_chunks(chunks, Move) == big
    assert from_chunks(chunks, Move).digest() == big.digest()


@given(
    st.lists(
        st.builds(
            move,
            st.integers(0, 99999),
            weights=st.dictionaries(st.from_regex(r"[1-9][0-9]{0,3}", fullmatch=True), st.floats(0.001, 1.0)),
            revision_id=st.none() | TEXT,
        ),
        max_size=5,
        unique_by=lambda step: step.function,
    )
)
@settings(max_examples=50)
def test_a_plans_digest_survives_the_ledger(steps: list[Move]) -> None:
    assert from_chunks(to_chunks(plan(*steps)), Move).digest() == plan(*steps).digest()


def test_two_plans_of_the_same_world_have_one_digest() -> None:
    one, other = move(1), move(2)

    digests = {
        plan(one, other).digest(),
        plan(other, one).digest(),
        plan(one, other, notices=("something",)).digest(),
        plan(one, other, request=AliasesRequest(release="previous")).digest(),
    }

    assert len(digests) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"environment": "dev"},
        {"account": "111122223333"},
        {"region": "eu-west-1"},
        {"kind": "stack"},
        {"request": AliasesRequest(without=("f",))},
        {"request": AliasesRequest(adopt_current=True)},
        {"targets": {"service_1": "v0"}},
        {"quarantines": {}},
        {"steps": ()},
        *(
            {"steps": (move(1, **{name: value}),)}
            for name, value in {
                "function": "other",
                "service": "other",
                "from_version": "7",
                "to_version": "7",
                "code_sha256": "b" * 44,
                "revision_id": "other",
                "weights": {},
                "provisioned": 5,
            }.items()
        ),
    ],
    ids=str,
)
def test_approval_is_bound_to_everything_that_would_be_done(changed: dict[str, Any]) -> None:
    assert replace(plan(move(1)), **changed).digest() != plan(move(1)).digest()


def test_what_an_undo_leaves_is_reported_where_nothing_was_known_to_be_deployed() -> None:
    unknown = plan(move(1), move(2), leaves={"service_1": "v2"})

    assert unknown.left(undone=True) == {"service_1": "v2", "service_2": UNKNOWN}
    assert unknown.left(undone=False) == {"service_1": "v1", "service_2": "v1"}


# -- releases ------------------------------------------------------------------------------------------

VERSIONS, SERVICES = ("v1", "v2", "v3", "v4"), ("teams", "roles")


def entry(seq: int, kind: str, version: str, services: Any, deployed: dict[str, str]) -> Entry:
    return Entry(
        seq=seq,
        kind=kind,
        id=f"id-{seq}",
        version=version,
        at="",
        by=ALICE,
        services=tuple(services),
        stands=deployed,
        covers="",
    )


class History:
    """A timeline that grows as the commands make it grow; `left` is what rollbacks went away from."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.barred: list[Quarantine] = []
        self.left: set[tuple[str, str]] = set()

    @property
    def timeline(self) -> Timeline:
        return Timeline(iter(reversed(self.entries)))

    def add(self, kind: str, version: str, services: Any, deployed: dict[str, str]) -> None:
        merged = {**self.timeline.all_deployed, **deployed}
        self.entries.append(entry(len(self.entries) + 1, kind, version, services, merged))

    def deploy(self, version: str) -> None:
        self.add("deployment", version, SERVICES, dict.fromkeys(SERVICES, version))
        self.left -= {(service, version) for service in SERVICES}

    def adopt(self, version: str, *, deployed: bool = False) -> None:
        self.add("adoption", version, SERVICES, dict.fromkeys(SERVICES, version) if deployed else {})

    def go(self, targets: dict[str, str]) -> None:
        leaves = {service: self.timeline.all_deployed[service] for service in targets}
        for service, version in _left_behind(
            self.timeline, {name: [version] for name, version in leaves.items()}, targets
        ).items():
            self.barred.append(Quarantine(service=service, version=version, reason="", by=ALICE, at=""))
        self.left |= {
            (service, leaves[service]) for service in targets if leaves[service] != targets[service]
        }
        self.add("rollback", "", tuple(targets), dict(targets))

    def back(self, services: Any = SERVICES) -> dict[str, str]:
        targets = previous(self.timeline, list(services), self.barred)
        self.go(targets)
        return targets


STEPS = st.lists(
    st.tuples(st.just("deploy"), st.sampled_from(VERSIONS))
    | st.tuples(st.just("adopt"), st.sampled_from(VERSIONS))
    | st.tuples(st.just("back"), st.sampled_from([("teams",), ("roles",), SERVICES])),
    max_size=14,
)


@given(STEPS)
@settings(max_examples=300)
def test_previous_is_recorded_earlier_free_and_not_what_is_deployed_and_never_what_was_left(
    steps: Any,
) -> None:
    history = History()
    for verb, what in steps:
        known = {item.version for item in history.entries if item.is_release}
        quarantined = {(quarantine.service, quarantine.version) for quarantine in history.barred}
        if verb == "deploy" and not any((service, what) in quarantined for service in SERVICES):
            history.deploy(what)
        elif verb == "adopt" and what not in known:
            history.adopt(what)
        elif verb == "back":
            deployed, left = dict(history.timeline.all_deployed), set(history.left)
            try:
                found = history.back(what)
            except Refused:
                continue
            for service, version in found.items():
                assert version in known
                assert version != deployed[service]
                assert (service, version) not in quarantined
                assert (service, version) not in left, "it went back to what a rollback had left"


def test_previous_goes_further_back_each_time_and_ends() -> None:
    history = History()
    for version in ("v1", "v2", "v3"):
        history.deploy(version)

    assert history.back() == {"teams": "v2", "roles": "v2"}
    assert history.back() == {"teams": "v1", "roles": "v1"}
    with pytest.raises(Refused, match="there is no older release", check=coded(Code.NO_PREVIOUS)):
        history.back()


def test_previous_is_found_per_service_on_a_mixed_estate() -> None:
    history = History()
    for version in ("v1", "v2", "v3"):
        history.deploy(version)
    history.back(["teams"])

    assert history.back() == {"teams": "v1", "roles": "v2"}


def test_after_a_rollback_to_an_adopted_release_previous_does_not_return_to_the_bad_one() -> None:
    history = History()
    history.deploy("v2")
    history.adopt("v1")
    history.go({"teams": "v1", "roles": "v1"})

    assert {(quarantine.service, quarantine.version) for quarantine in history.barred} == {
        ("teams", "v2"),
        ("roles", "v2"),
    }
    with pytest.raises(Refused, check=coded(Code.NO_PREVIOUS)):
        history.back()


FAILED = ("rollback", "FAILED", "v2")


@pytest.mark.finding("B3")
@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([], "v1"),
        ([("rollback", "REVERTED", "v2")], "v1"),
        ([("rollback", "COMPLETE", "v2")], "v2"),
        ([("deployment", "COMPLETE", "v2")], "v2"),
    ],
    ids=["nothing since", "another rollback was undone", "it was verified again", "it was deployed again"],
)
def test_previous_is_not_a_release_that_failed_in_verification(
    later: list[tuple[str, str, str]], expected: str
) -> None:
    happened = [
        *[("deployment", "COMPLETE", version) for version in ("v1", "v2", "v3")],
        FAILED,
        *later,
        ("deployment", "COMPLETE", "v4"),
    ]
    entries = [
        replace(
            entry(seq, kind, version if kind == "deployment" else "", ("teams",), {"teams": version}),
            status=status,
        )
        for seq, (kind, status, version) in enumerate(happened, start=1)
    ]
    v3 = Quarantine(service="teams", version="v3", reason="", by=ALICE, at="")

    found = previous(Timeline(reversed(entries), lambda _: True), ["teams"], [v3])

    assert found == {"teams": expected}


def test_going_forward_quarantines_nothing() -> None:
    history = History()
    history.deploy("v1")
    history.deploy("v2")
    history.back()
    history.barred.clear()

    history.go({"teams": "v2", "roles": "v2"})

    assert history.barred == []


def test_a_service_with_nothing_recorded_deployed_has_no_previous() -> None:
    history = History()
    history.adopt("v1")

    with pytest.raises(Refused, match="no recorded release is deployed", check=coded(Code.NO_PREVIOUS)):
        previous(history.timeline, ["teams"], [])


def test_the_timeline_reads_no_further_than_anybody_goes() -> None:
    read: list[int] = []

    def items() -> Any:
        for seq in range(9, 0, -1):
            read.append(seq)
            yield entry(seq, "deployment", f"v{seq}", SERVICES, dict.fromkeys(SERVICES, f"v{seq}"))

    timeline = Timeline(items())
    found = previous(timeline, list(SERVICES), [])

    assert found == {"teams": "v8", "roles": "v8"}
    assert len(read) <= 3
    assert timeline.newest is not None
    assert len(read) <= 3, "what was read is kept"


@pytest.mark.parametrize(
    ("deployed", "text"),
    [
        ({}, "none"),
        ({"a": "v1", "b": "v1"}, "v1"),
        ({"a": "v1", "b": "v2", "c": "v2"}, "v2+a@v1"),
        ({"a": "v2", "b": "v1"}, "v1+a@v2"),
    ],
)
def test_what_is_deployed_in_one_word(deployed: dict[str, str], text: str) -> None:
    assert label(deployed) == text


def test_a_label_fits_a_parameter_however_mixed_the_estate_is() -> None:
    assert len(label({f"service_{number}" * 3: f"v{number}" for number in range(500)})) < 4096


@pytest.mark.parametrize("version", ["v1.2.0", "release-7", "a", "A" + "b" * 63])
def test_a_version_that_can_name_a_release(version: str) -> None:
    assert checked_version(version) == version


@pytest.mark.parametrize(
    "version",
    [
        "",
        "7",
        "previous",
        "v1+b",
        "v1@x",
        "v1 ",
        "v1\n",
        "../v1",
        "v1;rm",
        "$(id)",
        "-v",
        "v" + "1" * 64,
        "vé",
    ],
)
def test_a_version_that_cannot_name_a_release_is_wrong_usage(version: str) -> None:
    with pytest.raises(UsageError, check=coded(Code.OPTION_INVALID)):
        checked_version(version)


# -- records -------------------------------------------------------------------------------------------


def journal() -> tuple[Record, list[Event]]:
    current, events = a_record(), []
    for number in range(5):
        entered = Entered(kind=f"kind-{number}", at=f"at-{number}", by=ALICE, data={"n": number})
        event = next_event(current, entered, anchor="anchor")
        current = replace(current, events=event.number, head=event.hash)
        events.append(event)
    return current, events


def test_a_whole_chain_has_no_break() -> None:
    current, events = journal()

    assert chain_break(current, events) is None
    assert events[0].previous == "anchor"


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize(
    "changed",
    [
        {"number": 9},
        {"kind": "other"},
        {"at": "other"},
        {"by": BOB},
        {"by": Actor(role="other", person="alice")},
        {"data": {}},
        {"data": {"n": 99}},
        {"previous": "other"},
        {"hash": "other"},
    ],
    ids=str,
)
def test_every_edit_of_an_event_is_seen(index: int, changed: dict[str, Any]) -> None:
    current, events = journal()

    events[index] = replace(events[index], **changed)

    assert chain_break(current, events)


@pytest.mark.parametrize("index", range(5))
def test_every_deletion_is_seen(index: int) -> None:
    current, events = journal()

    del events[index]

    assert chain_break(current, events)


@pytest.mark.parametrize(("one", "other"), [(a, b) for a in range(5) for b in range(a)])
def test_every_swap_is_seen_with_numbers_and_without(one: int, other: int) -> None:
    current, events = journal()
    renumbered = list(events)
    renumbered[one] = replace(events[other], number=events[one].number)
    renumbered[other] = replace(events[one], number=events[other].number)
    events[one], events[other] = events[other], events[one]

    assert chain_break(current, events)
    assert chain_break(current, renumbered)


def test_an_event_of_another_record_is_seen() -> None:
    current, events = journal()

    assert chain_break(replace(current, rollback_id="R2"), events)


def test_an_inserted_event_and_a_head_that_is_not_the_last_are_seen() -> None:
    current, events = journal()
    extra = next_event(current, Entered(kind="more", at="", by=BOB))

    assert chain_break(current, [*events, extra])
    assert chain_break(replace(current, head="other"), events)
    assert chain_break(replace(current, events=4), events)


@pytest.mark.parametrize(("end", "seconds"), [("12:00:01.500Z", 1.5), ("11:59:00.000Z", 0.0)])
def test_seconds_between_are_never_negative(end: str, seconds: float) -> None:
    assert seconds_between("2026-11-24T12:00:00.000Z", f"2026-11-24T{end}") == seconds
