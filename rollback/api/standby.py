"""A rollback that is planned and approved in advance, and taken when it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollback.actions import watch as watching
from rollback.actions.watch import Watched
from rollback.api.results import Result

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True)
class Standby:
    """What is on standby in an environment."""

    environment: Environment

    def prepare(self, *, minutes: int, release: str = "") -> Result:
        """Plans the rollback from the release that was recorded last, to be taken within so many minutes; `release` is the
        one that it must be, where that is known.

        `waiting` of the result is set where another person has to approve it. `rollback_id` is empty where there is
        nothing to go back from. It ends by itself, with the status EXPIRED: at its time, when the next release is recorded, or when
        something else has moved the same functions. Raises `UsageError` for a time that an approval does not hold,
        `Refused` where something else is deployed than the release that was recorded last.
        """
        return self.environment.carried_out(lambda flow: flow.prepare(minutes, release))

    def take(self, *, reason: str, rollback_id: str = "") -> Result:
        """Carries out what is on standby; nobody is asked any more. Without an id it is the newest.

        Raises `Refused` where nothing is on standby (`NO_STANDBY`), where it has ended (`STANDBY_ENDED`) or nobody has
        approved it (`APPROVAL_MISSING`), where somebody has moved an alias since (`PLAN_OUTDATED`); else as `roll_back`
        does.
        """
        name = self.environment.identify(rollback_id) if rollback_id else ""
        return self.environment.carried_out(lambda flow: flow.take(reason, name), first=True)

    def watch(self, version: str, *, minutes: int = 0) -> Watched:
        """Watches the alarms that the settings name (`automatic`) for so many minutes, by default the settings' `bake`, and takes
        what is on standby where one turns red because of the release `version`.

        It returns where all is well at the end. Raises `Reverted` (`ROLLED_BACK`, with the `Result` in it) where the release
        was rolled back, by this or by anybody else; `VerificationFailed` where an alarm is red and nothing could be taken for it;
        `UsageError` where the settings let no alarm take anything, or name one that is not there; `Refused` where another
        release was recorded after it.
        """
        environment = self.environment
        with environment.operation(first=True) as session:
            flow = environment.flow(session)
            watched = watching.watch(flow, version, minutes)
            if watched.finished is not None:
                environment.ended(session, watched.finished)
            return watched
