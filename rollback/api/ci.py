"""What a step of GitHub Actions needs: the run, who started and reviewed it, and where its outputs go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rollback.config.naming import APPROVER, SESSION_HOURS, arn
from rollback.config.settings import Settings
from rollback.integrations import github_actions
from rollback.model.record import UNFINISHED, Record

if TYPE_CHECKING:
    from rollback.api.environment import Environment


def take_role(settings: Settings, role: str, minutes: int) -> None:
    """Hands on a role's ARN, the region, who has started this attempt of the run, and for how many seconds to take it.

    Raises `UsageError` outside GitHub Actions, as everything here does.
    """
    name = settings.names.role(role)
    # No role is taken for less than an hour, or for more than it allows.
    seconds = 60 * min(max(minutes, 60), 60 * SESSION_HOURS)
    github_actions.ends(datetime.now(UTC) + timedelta(seconds=seconds))
    hand_on(
        arn=arn("iam", settings.region, settings.account, f"role/{name}"),
        region=settings.region,
        person=github_actions.starter(),
        seconds=str(seconds),
    )


def hand_on(**values: str) -> None:
    """Values for later steps and jobs."""
    github_actions.output(**values)


def summarise(markdown: str) -> None:
    """Adds to the job's summary."""
    github_actions.summarise(markdown)


def reviewer(settings: Settings) -> str:
    """Who has reviewed this run. Raises `Refused` where nobody has, or who began it."""
    return github_actions.reviewer(settings.names.github_environment(APPROVER))


def record_of_this_run(environment: Environment) -> str:
    """The unfinished record that an earlier attempt of this run has left; empty where there is none.

    The index may lag; then there is a second record of the same plan, of which one is aborted.
    """
    run = github_actions.this_run()
    with environment.operation() as session:
        for item in session.ledger.history(50):
            if isinstance(item, Record) and run and item.run == run and item.status in UNFINISHED:
                return item.rollback_id
    return ""
