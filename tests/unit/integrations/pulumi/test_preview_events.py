"""What the engine's events, its history and its checkpoint are read as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rollback.engines.pulumi import checkpoint
from rollback.engines.pulumi.preview_events import drift, steps, unknown
from rollback.engines.pulumi.update_history import (
    Update,
    deployed,
    left,
    marked,
    previous,
    project_name,
)
from rollback.util.errors import Code, Refused
from tests.coded import coded

A, B, C, D = ("abcd"[number] * 40 for number in range(4))
STACK = "urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def pre(name: str, op: str, *, old: Any = None, new: Any = None, **metadata: Any) -> tuple[str, Any]:
    type_ = metadata.pop("type", "aws:ssm/parameter:Parameter")
    data = {"op": op, "urn": f"urn:pulumi:dev::demo::{type_}::{name}", "type": type_, "old": old, "new": new}
    return "resourcePreEvent", {"metadata": data | metadata}


def stack(op: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, Any]:
    metadata = {
        "op": op,
        "urn": STACK,
        "type": "pulumi:pulumi:Stack",
        "old": {"outputs": old},
        "new": {"outputs": new},
    }
    return "resOutputsEvent", {"metadata": metadata}


def test_steps_are_sorted_and_a_replacement_is_one() -> None:
    old, new = {"id": "t-1", "inputs": {"name": "x"}, "protect": True}, {"id": "", "inputs": {"name": "y"}}
    events = [
        pre("z", "same", old={"id": "z", "inputs": {}}, new={"id": "z", "inputs": {}}),
        pre("t", "delete-replaced", old=old),
        pre("t", "replace", old=old, new=new, diffs=["name", "tags"], keys=["name"]),
        pre("t", "create-replacement", new=new),
        pre("a", "refresh", old={"id": "a"}),
        pre("default_7", "create", new={"inputs": {}}, type="pulumi:providers:aws"),
    ]

    found = steps(events)

    assert [(step.urn.rpartition("::")[2], step.op) for step in found] == [("t", "replace"), ("z", "same")]
    replaced = found[0]
    assert (replaced.name, replaced.properties, replaced.protected) == ("t-1", ("name", "tags"), True)
    assert (replaced.old, replaced.new) == ({"name": "x"}, {"name": "y"})


def test_protection_that_is_dropped_is_seen_at_a_step_that_changes_nothing() -> None:
    (step,) = steps([pre("a", "same", old={"inputs": {}, "protect": True}, new={"inputs": {}})])

    assert step.unprotects


def test_outputs_that_change_update_the_stack() -> None:
    begins = pre("demo-dev", "same", old={}, new={}, type="pulumi:pulumi:Stack")
    same, changed = stack("same", {"v": 1}, {"v": 1}), stack("same", {"v": 1, "w": 1}, {"v": 2})

    assert [step.op for step in steps([begins, same])] == ["same"]
    assert [(step.op, step.properties) for step in steps([begins, stack("same", {}, {}), changed])] == [
        ("update", ("v", "w"))
    ]
    assert [step.op for step in steps([stack("create", {}, {"v": 1})])] == ["create"]


def test_a_resource_to_be_created_is_called_by_what_it_is_to_be_named() -> None:
    (step,) = steps([pre("a", "create", new={"id": "", "inputs": {"bucket": "reports"}})])

    assert step.name == "reports"


def test_what_a_refresh_finds_changed_or_gone_is_drift() -> None:
    def refreshed(name: str, **metadata: Any) -> tuple[str, Any]:
        _, data = pre(name, "refresh", old={"id": name}, **metadata)
        return "resOutputsEvent", data

    events = [
        refreshed("b", diffs=["tags", "value"], new={"id": "b"}),
        refreshed("a"),
        refreshed("c", new={}),
    ]

    found = [(urn.rpartition("::")[2], properties) for urn, properties in drift(events)]

    assert found == [("a", ()), ("b", ("tags", "value")), ("c", ())]


@pytest.mark.parametrize(
    ("value", "is_unknown"), [(UNKNOWN, True), ({"a": [1, {"b": UNKNOWN}]}, True), ({"a": ["x"]}, False)]
)
def test_a_value_is_unknown_wherever_it_is_so(value: Any, is_unknown: bool) -> None:
    assert unknown(value) is is_unknown


def test_a_checkpoints_digest_holds_over_what_differs_from_run_to_run_only() -> None:
    one = {"urn": "a", "id": "1", "inputs": {"v": 1}, "created": "now", "sourcePosition": "x#1"}
    two = {"urn": "b", "id": "2", "inputs": {"v": {"ciphertext": "v1:abc"}}}
    salt = {"secrets_providers": {"type": "passphrase", "state": {"salt": "v1:s"}}}
    before = {"resources": [one, two], "manifest": {"time": "1"}, **salt}

    again = {
        "resources": [two, {**one, "created": "later", "propertyDependencies": {}}],
        "manifest": {"time": "2"},
        **salt,
    }
    other_secret = {**before, "resources": [one, {**two, "inputs": {"v": {"ciphertext": "v1:xyz"}}}]}
    begun = {**before, "pending_operations": [{"type": "creating", "resource": {"urn": "c"}}]}

    assert checkpoint.digest(again) == checkpoint.digest(before)
    others = [other_secret, begun, {**before, "secrets_providers": {}}]
    assert len({checkpoint.digest(state) for state in (before, *others)}) == 4


def update(commit: str, result: str = "succeeded", kind: str = "update", *, dirty: bool = False) -> Update:
    return Update(
        at="", ended="", kind=kind, result=result, commit=commit, dirty=dirty, who="dan", subject=""
    )


def before(*entries: Update, quarantined: tuple[str, ...] = ()) -> str:
    """The previous commit, of a history that is newest first; A came before B, B before C."""
    return previous(entries, quarantined, lambda one, other: one > other).commit


def test_previous_is_the_newest_earlier_clean_update_of_another_commit() -> None:
    assert before(update(B), update(B), update(A)) == A
    assert before(update(C), update(B, "failed"), update(A)) == A
    assert before(update(C), update(B, dirty=True), update(A)) == A
    assert before(update(A, kind="refresh"), update(B), update(A)) == A
    assert before(update(B), update(A, kind="refresh"), update(A)) == A


def test_previous_passes_over_what_is_quarantined_and_over_where_one_went_back_to() -> None:
    """B was bad and was left for A: what is before that is older than A."""
    history = (update(B), update(C), update(B), update(A))

    assert before(*history, quarantined=(C,)) == A
    with pytest.raises(Refused, check=coded(Code.NO_PREVIOUS)):
        before(update(A), update(B), update(A), quarantined=(B,))


def test_after_a_deployment_that_failed_previous_is_what_it_was_to_replace() -> None:
    assert before(update(C, "failed"), update(B), update(A)) == B


def test_after_an_undo_that_failed_previous_is_not_what_it_was_leaving() -> None:
    assert before(update(A, "failed"), update(B), update(A)) == A


def test_what_a_failed_undo_was_leaving_is_left_still() -> None:
    history = (update(A, "failed"), update(B), update(A))

    assert left(history, A) == history[1]
    assert left(history, C) == history[0]
    assert left(history[1:], A) == history[1]
    assert left((), A) is None


def test_from_a_dirty_update_previous_is_its_own_commit() -> None:
    assert before(update(B, dirty=True), update(B), update(A)) == B


def test_after_a_destroy_nothing_is_deployed_and_previous_is_what_was_destroyed() -> None:
    history = (update(C, kind="destroy"), update(B), update(A))

    assert deployed(history) is None
    assert before(*history) == B
    assert not [entry for entry in marked(history) if entry.stands]


def test_one_update_of_the_history_is_deployed() -> None:
    history = (update(D, "failed"), update(C, kind="refresh"), update(B, dirty=True), update(A))

    assert [entry.stands for entry in marked(history)] == [False, False, True, False]
    assert deployed(history) == history[0]


@pytest.mark.parametrize(("text", "name"), [("name: x\n", "x"), ("- 1\n", ""), ("a: [", ""), ("", "")])
def test_a_project_is_called_as_its_file_states(text: str, name: str) -> None:
    assert project_name(text) == name
