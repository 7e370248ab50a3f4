"""A verb that needs what the settings leave out says so in one sentence, with the name of the setting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollback.config.naming import APPROVER, RESTORE
from rollback.readiness import collect
from rollback.releases import record_release
from rollback.setup.login import api as login
from rollback.targets.table import steps
from rollback.targets.terraform import backend
from rollback.util.errors import Code, UsageError
from tests.coded import coded
from tests.doubles.world import settings


def bare(**changed: Any) -> Any:
    """One person's environment: no tables, no Terraform, no GitHub, nobody who approves."""
    return settings(tables=[], terraform=None, repository="", **changed)


@pytest.mark.parametrize(
    ("verb", "setting"),
    [
        (lambda: steps.known(bare(), "orders"), "tables"),
        (lambda: backend.platform(bare()), "terraform"),
        (lambda: backend.below(Path(__file__).parent, bare()), "terraform"),
        (lambda: login.arn_of(bare(), RESTORE), "tables"),
        (lambda: login.arn_of(bare(), APPROVER), "approval"),
        (
            lambda: record_release.commits_for(
                SimpleNamespace(settings=bare(), environment="dev", root=Path()),
                "",
                "a" * 40,  # type: ignore[arg-type]
            ),
            "terraform",
        ),
    ],
)
def test_a_verb_names_the_setting_that_it_needs(verb: Callable[[], object], setting: str) -> None:
    with pytest.raises(UsageError, check=coded(Code.NOT_CONFIGURED)) as raised:
        verb()

    assert raised.value.exit_code == 2
    assert f"`{setting}`" in raised.value.what


def test_nothing_of_github_is_asked_where_there_is_no_repository() -> None:
    session: Any = SimpleNamespace(settings=bare())

    (judged,) = collect._github(session, insist=True)

    assert judged.answer == collect.CheckAnswer.UNNEEDED
