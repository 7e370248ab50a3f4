"""What is asked for as somebody types it, and what to type where it is refused."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from rollback.model.command_line import after, command_line, still_dry, ways_past, without_unknown
from rollback.model.messages import refuse
from rollback.model.plan import Refusal
from rollback.model.request import (
    AliasesRequest,
    CutoverRequest,
    FullRequest,
    PruneRequest,
    Request,
    StackRequest,
    TableRequest,
    TerraformRequest,
)
from rollback.util.errors import Code, Refused
from tests.unit.cli.test_next_lines import parsed

URN = "urn:pulumi:dev::rollback::aws:dynamodb/table:Table::it's"
QUOTED = shlex.quote(URN)


def line(text: str) -> str:
    return f'rollback {text} --reason "…"'


@pytest.mark.parametrize(
    ("request_", "typed"),
    [
        (AliasesRequest(), "lambda --env dev"),
        (
            AliasesRequest(release="v1.1.0", services=("a", "b"), without=("f",), adopt_current=True),
            "lambda --env dev --to v1.1.0 --services a,b --adopt-current --except f",
        ),
        (
            StackRequest(commit="a" * 40, stack="s", project="infra/net", without=(URN,), allow_below=True),
            f"stack --env dev --to {'a' * 40} --stack s --project-dir infra/net --allow-below --except {QUOTED}",
        ),
        (
            TerraformRequest(allow_destroy=('aws_x.y["z"]',)),
            "terraform --env dev --allow-destroy 'aws_x.y[\"z\"]'",
        ),
        (FullRequest(release="v1.1.0"), "full --env dev --to v1.1.0"),
        (TableRequest(table="t", at="before:R1"), "table --env dev --table t --to before:R1"),
        (
            CutoverRequest(table="t", restore="R1", cutover="copy-back", delete_new=True),
            "table --env dev --table t --to restored:R1 --cutover copy-back --delete-new",
        ),
        (PruneRequest(keep=5), "prune --env dev --keep 5"),
    ],
)
def test_a_request_is_a_line_that_the_command_takes(request_: Request, typed: str) -> None:
    found = command_line(request_, "dev")

    assert found == line(typed)
    parsed(found)


def drifted(name: str) -> Refusal:
    return Refusal(
        subject=name,
        reason="somebody moved it",
        remedy=f"--adopt-current to start from there, or --except {name}",
    )


def lacking(name: str) -> Refusal:
    return Refusal(subject=name, reason="the release has no version of it", remedy=f"--except {name}")


LIFT = 'rollback release lift v1.1.0 --services a --env dev --reason "…"'
LOOK = "rollback status --env dev  # shows what else it can be rolled back to"
MANY = [drifted(f"f{number}") for number in range(20)]


@pytest.mark.parametrize(
    ("refusals", "request_", "lines"),
    [
        (
            [drifted("f")],
            AliasesRequest(),
            [line("lambda --env dev --adopt-current"), line("lambda --env dev --except f")],
        ),
        (
            [drifted("f"), lacking("g")],
            AliasesRequest(release="v1.1.0"),
            [
                line("lambda --env dev --to v1.1.0 --adopt-current --except g"),
                line("lambda --env dev --to v1.1.0 --except f --except g"),
            ],
        ),
        ([lacking("g")], AliasesRequest(), [line("lambda --env dev --except g")]),
        (MANY, AliasesRequest(), [line("lambda --env dev --adopt-current")]),
        ([Refusal(subject="a", reason="quarantined", remedy=LIFT)] * 2, AliasesRequest(), [LOOK, LIFT]),
        (
            [Refusal(subject=URN, reason="it holds data", remedy="--allow-destroy 'aws_x.y', if it may")],
            TerraformRequest(commit="abc"),
            [line("terraform --env dev --to abc --allow-destroy aws_x.y")],
        ),
        (
            [Refusal(subject="t", reason="too late", remedy="--to 2026-11-28T12:00:00Z or earlier, or wait")],
            TableRequest(table="t", at="2026-11-28T13:00:00Z"),
            [line("table --env dev --table t --to 2026-11-28T12:00:00Z")],
        ),
        (
            [Refusal(subject="f", reason="somebody is moving it", remedy="plan again"), lacking("g")],
            AliasesRequest(),
            ["rollback lambda --env dev --dry-run  # after fixing that"],
        ),
    ],
)
def test_a_refused_plan_says_what_to_type_instead(
    refusals: list[Refusal], request_: Request, lines: list[str]
) -> None:
    with pytest.raises(Refused) as refused:
        refuse(refusals, ways_past(refusals, request_, "dev"))

    assert refused.value.code is Code.PLAN_REFUSED
    assert refused.value.next.splitlines() == lines
    for each in lines:
        parsed(each)


@pytest.mark.parametrize(
    ("code", "request_", "verbs"),
    [
        (Code.NO_PREVIOUS, AliasesRequest(), ["release list", "release adopt"]),
        (Code.NO_PREVIOUS, StackRequest(), ["history --env"]),
        (Code.NO_PREVIOUS, TerraformRequest(), ["history --env"]),
        (Code.BELOW_FLOOR, AliasesRequest(release="v1.0.0"), ["release list", "lambda --env"]),
        (Code.BELOW_FLOOR, StackRequest(), ["release list", "stack --env"]),
    ],
)
def test_where_there_is_no_way_back_what_can_be_looked_at_or_done_is_typed(
    code: Code, request_: Request, verbs: list[str]
) -> None:
    lines = after(Refused("no", code=code, next="words"), request_, "dev").splitlines()

    assert [" ".join(each.split()[1:3]) for each in lines] == verbs
    for each in lines:
        parsed(each)
    assert all("--allow-below" in each for each in lines[1:] if code is Code.BELOW_FLOOR)


KNOWN = ("acme-dev-lambda-teams-get", "acme-dev-lambda-teams-list")


@pytest.mark.parametrize(
    ("unknown", "left"),
    [
        ("teams-get", " --except acme-dev-lambda-teams-get"),
        ("acme-dev-lambda-teams-gte", " --except acme-dev-lambda-teams-get"),
    ],
)
def test_a_function_that_there_is_not_is_answered_with_the_nearest(unknown: str, left: str) -> None:
    request: Any = AliasesRequest(release="v1.1.0", without=(unknown,))

    found = without_unknown(request, "dev", unknown, KNOWN)

    assert found == line(f"lambda --env dev --to v1.1.0{left}")
    parsed(found)


def test_where_no_function_is_near_what_shows_them_all_is_typed() -> None:
    found = without_unknown(AliasesRequest(without=("zzz", KNOWN[0])), "dev", "zzz", KNOWN)

    assert found.startswith(f"rollback lambda --env dev --except {KNOWN[0]} --dry-run  #")
    parsed(found)


def test_what_a_refused_dry_run_names_is_a_dry_run_and_the_rest_stays() -> None:
    steps = ["lambda --env dev --except f", "full --env dev", "release lift v1 --env dev"]

    assert still_dry("\n".join(map(line, steps))).splitlines() == [
        "rollback lambda --env dev --except f --dry-run",
        "rollback full --env dev --dry-run",
        line("release lift v1 --env dev"),
    ]
