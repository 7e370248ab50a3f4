"""What the command answers, approves and sends is what it was when `tests/golden` was written.

`python -m tests.golden NAME` writes a file anew, for a change that means to change what is in it.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from tests.golden import messages, plans
from tests.golden.__main__ import FOLDER
from tests.golden.situations import Situation, answer, situations

ALL = situations()


@cache
def golden(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def as_json(found: Any) -> Any:
    return json.loads(json.dumps(found))


@pytest.mark.parametrize("situation", ALL, ids=[f"{one.recording} {one.name}" for one in ALL])
def test_every_verb_answers_as_it_did(situation: Situation) -> None:
    assert answer(situation) == golden("answers")[f"{situation.recording} {situation.name}"]


def test_every_answer_that_is_kept_is_asked_for() -> None:
    assert sorted(golden("answers")) == sorted(f"{one.recording} {one.name}" for one in ALL)


def test_the_digests_of_plans_that_were_approved_are_the_same() -> None:
    assert as_json(plans.digests()) == golden("plans")


def test_messages_and_events_are_the_same() -> None:
    assert as_json(messages.messages()) == golden("messages")


def test_reports_have_the_same_text() -> None:
    assert as_json(messages.reports()) == golden("reports")


def test_error_codes_and_their_exit_codes_are_the_same() -> None:
    assert as_json(messages.codes()) == golden("codes")
