"""A rollback that is planned and approved in advance, and applied when it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollback.api.results import Result
from rollback.queries import watch as watching
from rollback.queries.watch import Watched

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True)
class Standby:
    """The standby of an environment."""

    environment: Environment

    def prepare(self, *, minutes: int, release: str = "") -> Result:
        """Plans the rollback from the release that was recorded last, to be taken within `minutes`; `release` is the
        version that it must be, if known.

        `waiting` of the result is set if another person has to approve it. `rollback_id` is "" if there is nothing to
        go back from. It ends with the status EXPIRED: after `minutes`, when the next release is recorded, or when
        something else has moved the same functions. Raises `UsageError` for a time longer than an approval is valid,
        `Refused` if what is deployed is not the release that was recorded last.
        """
        return self.environment.carried_out(lambda flow: flow.prepare(minutes, release))

    def take(self, *, reason: str, rollback_id: str = "") -> Result:
        """Applies the standby, without any question. Without an id it is the newest one.

        Raises `Refused` if nothing is on standby (`NO_STANDBY`), if it has ended (`STANDBY_ENDED`) or nobody has
        approved it (`APPROVAL_MISSING`), if somebody has moved an alias since (`PLAN_OUTDATED`); else as `roll_back`
        does.
        """
        name = self.environment.identify(rollback_id) if rollback_id else ""
        return self.environment.carried_out(lambda flow: flow.take(reason, name), first=True)

    def watch(self, version: str, *, minutes: int = 0) -> Watched:
        """Watches the alarms of the settings (`automatic`) for `minutes`, by default the settings' `bake`, and takes
        the standby if one goes into ALARM because of the release `version`.

        Returns if no alarm went off. Raises `Reverted` (`ROLLED_BACK`, with the `Result` in it) if the release was
        rolled back, by this or by anybody else; `VerificationFailed` if an alarm is in ALARM and no standby could be
        taken; `UsageError` if the settings let no alarm take a standby, or name an alarm that does not exist; `Refused`
        if another release was recorded after it.
        """
        environment = self.environment
        with environment.operation(first=True) as session:
            flow = environment.flow(session)
            watched = watching.watch(flow, version, minutes)
            if watched.finished is not None:
                environment.ended(session, watched.finished)
            return watched
