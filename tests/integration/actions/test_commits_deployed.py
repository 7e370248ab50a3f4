"""At which commits the infrastructure stood, as the timeline tells it, and which of them is "previous"."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rollback.lifecycle.quarantine import quarantine
from rollback.model.release import TERRAFORM, Entry, Quarantine, Timeline, label, previous_position
from rollback.model.request import AliasesRequest
from rollback.releases.record_release import Commits, record
from rollback.util.errors import Code, Refused
from tests.coded import coded
from tests.doubles.world import DAN, SHA, Quiet, World

A, B, C, D = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)


def timeline(*entries: tuple[str, str]) -> Timeline:
    """Kind and commit of each entry, oldest first; an empty commit is that of one that nobody knows."""
    made = []
    for number, (kind, commit) in enumerate(entries, start=1):
        made.append(
            Entry(
                seq=number,
                kind=kind,
                id=str(number),
                version="v" if kind == "deployment" else "",
                at="",
                by=DAN,
                services=(TERRAFORM,),
                stands={TERRAFORM: commit},
                covers="",
            )
        )
    return Timeline(reversed(made))


def quarantined(*commits: str) -> Sequence[Quarantine]:
    return [Quarantine(service=TERRAFORM, version=one, reason="bad", by=DAN, at="") for one in commits]


@pytest.mark.parametrize(
    ("entries", "quarantines", "previous"),
    [
        pytest.param([("deployment", A), ("deployment", B)], [], A, id="the one before"),
        pytest.param([("deployment", A), ("deployment", B), ("deployment", B)], [], A, id="distinct"),
        pytest.param(
            [("deployment", A), ("deployment", B), ("deployment", C)], [B], A, id="not a barred one"
        ),
        pytest.param(
            [("deployment", A), ("deployment", B), ("deployment", C), ("rollback", B)],
            [C],
            A,
            id="further back",
        ),
        pytest.param(
            [("deployment", A), ("deployment", B), ("deployment", C), ("rollback", B)],
            [],
            A,
            id="no ping-pong, also where what was left was let come back",
        ),
        pytest.param([("deployment", A), ("deployment", B), ("deployment", A)], [], B, id="deployed again"),
        pytest.param(
            [("deployment", A), ("deployment", B), ("rollback", A), ("deployment", D)],
            [B],
            A,
            id="fixed forward",
        ),
        pytest.param([("rollback", A), ("rollback", B)], [], A, id="without any deployment"),
    ],
)
def test_previous_is_what_was_deployed_before(
    entries: list[tuple[str, str]], quarantines: list[str], previous: str
) -> None:
    assert previous_position(timeline(*entries), TERRAFORM, quarantined(*quarantines)) == previous


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([], "the deployed commit is not recorded"),
        ([("deployment", A), ("deployment", B), ("rollback", "")], "the deployed commit is not recorded"),
        ([("deployment", A)], "no older commit"),
        ([("deployment", A), ("deployment", B), ("rollback", A)], "no older commit"),
    ],
)
def test_without_a_previous_one_it_is_reported_why(entries: list[tuple[str, str]], why: str) -> None:
    with pytest.raises(Refused, match=why, check=coded(Code.NO_PREVIOUS)):
        previous_position(timeline(*entries), TERRAFORM, quarantined(B))


def test_another_subjects_quarantine_quarantines_nothing() -> None:
    other = [Quarantine(service="teams", version=A, reason="bad", by=DAN, at="")]

    assert previous_position(timeline(("deployment", A), ("deployment", B)), TERRAFORM, other) == A


# -- what a deployment tells ---------------------------------------------------------------------------------


def deployed(world: World, version: str, terraform: str | None) -> bool:
    """Whether it was new."""
    commits = Commits(code=SHA, terraform=terraform)
    return record(world.session(DAN), version, commits, Quiet()).new


def test_a_deployment_shows_the_commit_it_was_recorded_with(world: World) -> None:
    world.release("v1.0.0")
    deployed(world, "v1.0.0", A)
    world.release("v1.1.0")
    deployed(world, "v1.1.0", B)
    world.release("v1.2.0")
    deployed(world, "v1.2.0", None)

    current = world.timeline().all_deployed

    assert current == {"teams": "v1.2.0", "roles": "v1.2.0", TERRAFORM: B}
    assert label(current) == "v1.2.0"
    assert previous_position(world.timeline(), TERRAFORM, []) == A


def test_recording_again_is_new_only_if_it_shows_another_commit(world: World) -> None:
    world.release("v1.0.0")

    assert [deployed(world, "v1.0.0", commit) for commit in (None, A, A, None, B)] == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_a_release_is_rolled_back_and_quarantined_without_its_infrastructure(world: World) -> None:
    for version, commit in (("v1.0.0", A), ("v1.1.0", B)):
        world.release(version)
        deployed(world, version, commit)

    quarantined_for = quarantine(world.session(DAN), "v1.0.0", (), "bad")
    finished = world.flow().start("aliases", AliasesRequest(release="v1.1.0"), "it went bad")

    assert quarantined_for == ["teams", "roles"]
    assert finished.plan is not None
    assert set(finished.plan.targets) == {"teams", "roles"}
    assert world.timeline().all_deployed[TERRAFORM] == B
