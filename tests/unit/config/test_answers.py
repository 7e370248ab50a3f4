"""What a person names is right or has a reason, before anything is made of it."""

from __future__ import annotations

import pytest

from rollback.setup import answers


@pytest.mark.parametrize(
    ("given", "right"), [("live", True), ("a b", False), ("1", False), ("x" * 129, False)]
)
def test_an_alias(given: str, right: bool) -> None:
    assert (answers.alias(given) == "") is right


@pytest.mark.parametrize(
    ("given", "right"), [("acme", True), ("ac-me2", True), ("Acme", False), ("a--b", False)]
)
def test_a_prefix(given: str, right: bool) -> None:
    assert (answers.prefix(given) == "") is right


def test_people_are_users_each() -> None:
    ada = "arn:aws:iam::123456789012:user/ada"

    assert answers.people([ada, ada]) == answers.people([]) == ""
    assert "'ada'" in answers.people([ada, "ada"])
    assert answers.people(["arn:aws:iam::123456789012:role/ada"])
