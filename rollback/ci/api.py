"""For jobs of GitHub Actions and GitLab CI: the run, who started and reviewed it, and where its outputs go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollback.config.naming import APPROVER, SESSION_HOURS, arn
from rollback.config.settings import Settings
from rollback.engines import ci
from rollback.model.record import UNFINISHED, Record, Status

if TYPE_CHECKING:
    from rollback.api.environment import Environment


def take_role(settings: Settings, role: str, minutes: int, person: str = "") -> str:
    """Lets the job assume a role until it ends, in the name of `person`, or of the person who started this attempt.

    Returns what the step's shell has to evaluate; on GitHub it returns "" and sets outputs for the next step. Raises
    `UsageError` outside CI, as every function here does.
    """
    name = settings.names.role(role)
    run = ci.current()
    return run.role(
        arn("iam", settings.region, settings.account, f"role/{name}"),
        settings.region,
        person=person or run.starter(),
        # A session lasts an hour at least, and no longer than the role allows.
        seconds=60 * min(max(minutes, 60), 60 * SESSION_HOURS),
    )


def hand_on(**values: str) -> None:
    """Sets outputs for later steps and jobs."""
    ci.current().output(values)


def summarise(markdown: str) -> None:
    """Adds `markdown` to the job's summary."""
    ci.current().summarise(markdown)


def reviewer(settings: Settings) -> str:
    """Who reviewed this run. Raises `Refused` if nobody did, or only the person who started it."""
    return ci.current().reviewer(settings.names.github_environment(APPROVER))


def record_of_this_run(environment: Environment) -> str:
    """The id of the unfinished record that an earlier attempt of this run left; "" if there is none.

    The index may lag; then there is a second record of the same plan, and one of them has to be aborted.
    """
    run = ci.current().run
    with environment.operation() as session:
        for item in session.ledger.history(50):
            unfinished = isinstance(item, Record) and item.status in UNFINISHED - {Status.STANDBY}
            if isinstance(item, Record) and run and item.run == run and unfinished:
                return item.rollback_id
    return ""
