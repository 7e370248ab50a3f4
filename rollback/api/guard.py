"""The guard: its declaration, why it took nothing recently, a test of its whole path, and its package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollback.config.sections import Guard as Configured
from rollback.config.settings import Settings, find_root, load
from rollback.core.errors import Code, RollbackError, UsageError

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardState:
    """The guard as it is now. `problems` are sentences about what keeps it from answering, empty if nothing does;
    `alarms` maps the alarms that may take something to their states; `decision` is what it would do now (a
    `model.automatic.Code`, or `TAKE`), `why` is that as a sentence. `failed` counts messages that it could not process.
    `declined` are the reasons why alarms took nothing since the newest release, newest first: (when, text).
    """

    problems: tuple[str, ...]
    alarms: dict[str, str]
    decision: str
    why: str
    failed: int
    declined: tuple[tuple[str, str], ...]

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class Guard:
    """The guard of an environment, where one is configured (the setting `guard`)."""

    environment: Environment

    def status(self) -> GuardState:
        """Whether it would answer an alarm, and what it would do. Only reads. Raises `UsageError` if none is
        configured.
        """
        from rollback.actions import automatic, guard  # noqa: PLC0415 - of this alone
        from rollback.integrations import guard as account  # noqa: PLC0415 - as above
        from rollback.model.automatic import Take, decide  # noqa: PLC0415 - as above

        self._configured()
        with self.environment.operation(reading=True) as session:
            found = account.declared(session.account)
            decision = decide(automatic.facts(session))
            return GuardState(
                problems=tuple(
                    _problems(found, session.settings.alarms, takes=session.settings.automatic.takes)
                ),
                alarms={name: one["state"] for name, one in found["alarms"].items()},
                decision="TAKE" if isinstance(decision, Take) else str(decision.code),
                why=decision.reason,
                failed=found["failed"],
                declined=tuple((entry.at, entry.status) for entry in guard.declined(session)),
            )

    def test(self, alarm: str = "") -> dict[str, Any]:
        """Makes the function do everything that it would do for an alarm (by default the first), except the rollback.

        `{"alarm", "decision", "why", "holds", "reported", "problems"}`: see `actions.guard.Answering.rehearse`;
        `problems` as in `GuardState`. Raises `UsageError` for an alarm that may not take a standby, `RollbackError` if
        the function fails.
        """
        from rollback.integrations import guard as account  # noqa: PLC0415 - of this alone

        self._configured()
        with self.environment.operation(reading=True) as session:
            known = session.settings.alarms
            if alarm and alarm not in known:
                raise UsageError(
                    f"{alarm[:255]!a} is not one of the alarms that may take a standby.",
                    code=Code.OPTION_INVALID,
                    next=f"Name one of: {', '.join(known)}.",
                )
            found = account.declared(session.account)
            answer = account.invoke(session.account, {"test": {"alarm": alarm}})
            if "errorMessage" in answer:
                raise RollbackError(
                    f"The guard's function failed: {str(answer['errorMessage'])[:500]}",
                    code=Code.AWS_ERROR,
                    changed="Nothing was changed.",
                    next=f"rollback guard build --env {session.environment}\n"
                    f"pulumi up --stack {session.environment}-foundation",
                )
            problems = _problems(found, known, takes=session.settings.automatic.takes)
            return {**answer, "problems": problems}

    def _configured(self) -> Configured:
        return _of(self.environment.settings)


def build(name: str, path: str | Path = "", *, folder: str | Path | None = None, python: str = "") -> Path:
    """Builds the package of the guard's function of the environment `name`, by default where its settings say. Returns
    its path.

    Makes no call to AWS. `folder` is as in `Environment.open`, `python` the Python version that it is built for, by
    default the function's runtime. The same input gives the same bytes. Raises as `settings.load` and
    `guard_package.build` do, and `UsageError` if no guard is configured.
    """
    from rollback.api import guard_package  # noqa: PLC0415 - of this alone

    root = find_root(Path(folder or Path.cwd()).resolve())
    settings = load(root, name)
    place = Path(path) if path else root / _of(settings).package
    return guard_package.build(settings, root, place, python or guard_package.PYTHON)


def _of(settings: Settings) -> Configured:
    if settings.guard is None:
        raise UsageError(
            f"No guard is configured in {settings.environment}: the setting `guard` is empty.",
            code=Code.NOT_CONFIGURED,
        )
    return settings.guard


def _problems(found: dict[str, Any], wanted: tuple[str, ...], *, takes: bool) -> list[str]:
    """What keeps the guard from answering, from what `integrations.guard.declared` found."""
    alarms = found["alarms"]
    told = [
        *([] if takes else ["no alarm may take a standby (the setting `automatic.takes`)"]),
        *([] if found["state"] in ("Active", "Inactive") else [f"its function is {found['state']}"]),
        *([] if found["concurrency"] == 1 else ["its function's reserved concurrency is not 1"]),
        *([] if found["subscribed"] else ["its topic does not invoke it"]),
        *([f"its function could not process {found['failed']} messages"] if found["failed"] else []),
    ]
    told += [f"the alarm {name} does not exist" for name in wanted if name not in alarms]
    return told + [f"the alarm {name} does not notify it" for name, one in alarms.items() if not one["calls"]]
