"""What a job of GitHub Actions or GitLab CI needs: the run, who started and reviewed it, and where its outputs go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollback.config.naming import APPROVER, SESSION_HOURS, arn
from rollback.config.settings import Settings
from rollback.integrations import ci
from rollback.model.record import UNFINISHED, Record, Status

if TYPE_CHECKING:
    from rollback.api.environment import Environment


def take_role(settings: Settings, role: str, minutes: int, person: str = "") -> str:
    """Has the job take a role, for as long as it lasts, in the name of `person`, or of who has started this attempt.

    Returns what the step's shell has to evaluate; on GitHub nothing, but outputs for the step that follows. Raises
    `UsageError` outside CI, as everything here does.
    """
    name = settings.names.role(role)
    run = ci.current()
    return run.role(
        arn("iam", settings.region, settings.account, f"role/{name}"),
        settings.region,
        person=person or run.starter(),
        # No role is taken for less than an hour, or for more than it allows.
        seconds=60 * min(max(minutes, 60), 60 * SESSION_HOURS),
    )


def hand_on(**values: str) -> None:
    """Values for later steps and jobs."""
    ci.current().output(values)


def summarise(markdown: str) -> None:
    """Adds to the job's summary."""
    ci.current().summarise(markdown)


def reviewer(settings: Settings) -> str:
    """Who has reviewed this run. Raises `Refused` where nobody has, or who began it."""
    return ci.current().reviewer(settings.names.github_environment(APPROVER))


def record_of_this_run(environment: Environment) -> str:
    """The unfinished record that an earlier attempt of this run has left; empty where there is none.

    The index may lag; then there is a second record of the same plan, of which one is aborted.
    """
    run = ci.current().run
    with environment.operation() as session:
        for item in session.ledger.history(50):
            unfinished = isinstance(item, Record) and item.status in UNFINISHED - {Status.STANDBY}
            if isinstance(item, Record) and run and item.run == run and unfinished:
                return item.rollback_id
    return ""
