"""Requests: a type for each kind, stored in one form, byte for byte as ever."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rollback.model.alias_moves import Move
from rollback.model.kind import Kind
from rollback.model.plan import from_chunks, plain_plan, to_chunks
from rollback.model.request import (
    AliasesRequest,
    CutoverRequest,
    FullRequest,
    PruneRequest,
    Request,
    StackRequest,
    StoredRequest,
    TableRequest,
    TerraformRequest,
    part_of,
    read,
    stored,
)
from rollback.util.canonical import canonical
from rollback.util.errors import Code, RollbackError
from tests.doubles.records import a_plan

USUAL = json.loads(canonical(StoredRequest()))
EACH = [
    (AliasesRequest(), {}),
    (
        AliasesRequest(release="v1", services=("teams",), without=("f",), adopt_current=True),
        {"to": "v1", "services": ["teams"], "without": ["f"], "adopt_current": True},
    ),
    (
        StackRequest(commit="c0ffee", stack="blue", project="infra", without=("u",), allow_destroy=("v",)),
        {"to": "c0ffee", "stack": "blue", "project": "infra", "without": ["u"], "allow_destroy": ["v"]},
    ),
    (TerraformRequest(commit="c0ffee", allow_destroy=("a",)), {"to": "c0ffee", "allow_destroy": ["a"]}),
    (FullRequest(release="v1", allow_destroy=("a",)), {"to": "v1", "allow_destroy": ["a"]}),
    *(
        (request, {"allow_below": True})
        for request in (
            AliasesRequest(allow_below=True),
            StackRequest(allow_below=True),
            TerraformRequest(allow_below=True),
            FullRequest(allow_below=True),
        )
    ),
    (TableRequest(table="people", at="before:01M"), {"to": "before:01M", "table": "people"}),
    (
        CutoverRequest(table="people", restore="01M", cutover="copy-back", delete_new=True),
        {"to": "restored:01M", "table": "people", "cutover": "copy-back", "delete_new": True},
    ),
    (PruneRequest(keep=2), {"to": "2"}),
]


@pytest.mark.parametrize(("request_", "message"), EACH, ids=lambda one: getattr(one, "kind", ""))
def test_each_is_stored_and_read_again(request_: Request, message: dict[str, object]) -> None:
    assert json.loads(canonical(stored(request_))) == USUAL | message
    assert read(request_.kind, stored(request_)) == request_


def test_every_kind_has_its_type() -> None:
    assert {request.kind for request, _ in EACH} == set(Kind)


@pytest.mark.parametrize(
    ("kind", "to"),
    [("strange", "v1"), ("prune", "many"), ("prune", "02"), ("cutover", "2026-11-24T10:00:00Z")],
)
def test_what_is_no_request_of_a_kind_is_not_read(kind: str, to: str) -> None:
    with pytest.raises(ValueError, match=r"is no|is not a valid"):
        read(kind, StoredRequest(to=to))


def test_what_was_stored_beside_a_kinds_own_fields_is_stored_again() -> None:
    """A workflow hands on all its inputs, whatever the kind: the digest of such a plan covers them."""
    message = StoredRequest(to="v1", table="people", allow_destroy=("urn",))
    one = a_plan(request=read("aliases", message))

    assert stored(one.request) == message
    assert one.digest() != a_plan(request=AliasesRequest(release="v1")).digest()
    assert from_chunks(to_chunks(one), Move) == one


def test_a_part_of_a_full_rollback_keeps_what_was_asked_for() -> None:
    full = FullRequest(allow_destroy=("urn",))

    for kind, to in ((Kind.ALIASES, "v1"), (Kind.STACK, "c0ffee"), (Kind.TERRAFORM, "c0ffee")):
        assert stored(part_of(full, kind, to)) == replace(stored(full), to=to)
    assert part_of(full, Kind.STACK, "c0ffee") == StackRequest(commit="c0ffee", allow_destroy=("urn",))


def test_a_plans_json_has_the_stored_request_among_its_fields_in_their_order() -> None:
    shown = plain_plan(a_plan(request=AliasesRequest(release="v1")))

    assert shown["request"] == USUAL | {"to": "v1"}
    assert list(shown)[:5] == ["kind", "environment", "account", "region", "request"]
    assert list(shown)[10:12] == ["steps", "facts"]


def test_a_request_of_another_kind_than_the_record_states_is_no_accident() -> None:
    with pytest.raises(RollbackError) as error:
        AliasesRequest().expected(StackRequest)

    assert error.value.code is Code.LEDGER_DAMAGED
