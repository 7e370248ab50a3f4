"""The guard: its declaration, why it took nothing recently, a test of its whole path, and its package."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollback.config.sections import Guard as Configured
from rollback.config.settings import Settings, find_root, load
from rollback.model import guarding
from rollback.util.canonical import plain
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)

if TYPE_CHECKING:
    from rollback.api.environment import Environment
    from rollback.lifecycle.context import Session


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardState:
    """The guard as it is now. `problems` are sentences about what keeps it from acting, empty if nothing does; `unknown`
    is why it is not known whether its function runs, empty if it has just run. `acts`: the problems are those of single
    alarms, and other alarms can start it. `code` is the kind of problem (an error's
    code, empty if there is none), `next` what to type.
    `alarms` maps the alarms that may take something to their states; `decision` is what it would do now (a
    `model.automatic.Why`, or `TAKE`), `why` is that as a sentence. `failed` counts messages that it could not process,
    `missed` those of them after which neither a rollback nor a release was recorded, and the guard neither processed an
    alarm nor was deployed again. `declined` are the reasons why alarms took nothing since the newest release, newest
    first: (when, text).
    """

    problems: tuple[str, ...]
    unknown: str
    acts: bool
    code: str
    next: tuple[str, ...]
    alarms: dict[str, str]
    decision: str
    why: str
    failed: int
    missed: int
    declined: tuple[tuple[str, str], ...]

    @property
    def ok(self) -> bool:
        return not self.code


@dataclass(frozen=True)
class Guard:
    """The guard of an environment, where one is configured (the setting `guard`)."""

    environment: Environment

    def status(self) -> GuardState:
        """Whether it would act on an alarm, and what it would do. Runs the function, which only reads. Raises `UsageError`
        if none is configured.
        """
        from rollback.guard import calls as account  # noqa: PLC0415 - of this alone

        self._configured()
        with self.environment.operation(reading=True) as session:
            found, unknown = account.declared(session.account), None
            failure: RollbackError | None = None
            try:
                answer = account.invoke(session.account, {"test": {"alarm": "", "report": False}})
                failure = _failure(session, found, answer)
            except UsageError:  # the caller's credentials, or the clock
                raise
            except RollbackError as error:
                unknown = error
            return _state(session, found, failure, unknown)

    def test(self, alarm: str = "") -> dict[str, Any]:
        """Makes the function do everything that it would do for an alarm (by default the first), except the rollback.

        `{"alarm", "decision", "why", "holds", "reported", "problems", "acts", "missed", "code", "next"}`: see
        `guard.reaction.Answering.rehearse`; the last five as in `GuardState`. Raises `UsageError` for an alarm that may not
        take a standby, `RollbackError` if the function fails.
        """
        from rollback.guard import calls as account  # noqa: PLC0415 - of this alone

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
            if (failure := _failure(session, found, answer)) is not None:
                raise failure
            state = plain(_state(session, found, None, None))
            tested = {
                **answer,
                **{name: state[name] for name in ("problems", "acts", "missed", "code", "next")},
            }
            if not tested["code"] and not tested["reported"]:
                tested |= {"code": str(Code.NOT_DECLARED), "next": [_up(session.settings)]}
            elif not tested["code"] and (tested["holds"] or {}).get("refusals"):
                tested |= {
                    "code": str(Code.PLAN_REFUSED),
                    "next": [f"rollback status --env {session.environment}"],
                }
            return tested

    def _configured(self) -> Configured:
        return _of(self.environment.settings)


def build(name: str, path: str | Path = "", *, folder: str | Path | None = None) -> tuple[Path, str]:
    """Builds the package of the guard's function of the environment `name`, by default where its settings say. Returns
    its path, and the runtime of Lambda that it is for.

    Makes no call to AWS. `folder` is as in `Environment.open`. The same input, and the same runtime, give the same bytes.
    Raises as `settings.load` and `guard_package.build` do, and `UsageError` if no guard is configured.
    """
    from rollback.guard import package as guard_package  # noqa: PLC0415 - of this alone

    root = find_root(Path(folder or Path.cwd()).resolve())
    settings = load(root, name)
    guard = _of(settings)
    return guard_package.build(
        settings, root, Path(path) if path else root / guard.package, guard.python
    ), guard.python


def error(found: Mapping[str, Any], what: str) -> RollbackError | None:
    """The error of a state or a test, as JSON; None if the guard would act on every alarm, and has missed none. `what` is
    the sentence where it would act on none.
    """
    if not found["code"]:
        return None
    code = Code(found["code"])
    if code is Code.ALARM_MISSED:
        what = f"Messages that the guard could not process, and after which nothing was recorded: {found['missed']}."
    elif unknown := found.get("unknown"):
        what = f"It is not known whether the guard would act on an alarm: {unknown}"
    elif found["problems"] and found["acts"]:
        what = f"The guard would not act on every alarm: {'; '.join(found['problems'])}."
    kind = Refused if found.get("unknown") else RollbackError
    return kind(what, code=code, changed="Nothing was changed.", next="\n".join(found["next"]))


def _of(settings: Settings) -> Configured:
    if settings.guard is None:
        raise UsageError(
            f"No guard is configured in {settings.environment}: the setting `guard` is empty.",
            code=Code.NOT_CONFIGURED,
        )
    return settings.guard


def _state(
    session: Session, found: dict[str, Any], failure: RollbackError | None, unknown: RollbackError | None
) -> GuardState:
    """The state, from what `guard.calls.declared` found, how its function failed, or why it could not be asked."""
    from rollback.model.automatic import Take, decide  # noqa: PLC0415 - as above
    from rollback.queries import automatic  # noqa: PLC0415 - of this alone

    settings, decision = session.settings, decide(automatic.facts(session))
    of_all, of_one = _problems(found, settings), _of_alarms(found["alarms"], settings)
    declared = [*of_all, *of_one.values()]
    takes = isinstance(decision, Take)
    missed = guarding.missed(found["failed"], session.ledger.timeline(readable=True), found["deployed_at"])
    code, steps = "", []
    if failure is not None:
        code, steps = str(failure.code), failure.next.splitlines()
    elif declared:
        code, steps = str(Code.NOT_DECLARED), _declare(session, found)
    elif missed:
        code, steps = str(Code.ALARM_MISSED), _handle(session, found["queue"], takes=takes)
    elif unknown is not None:
        again = (
            f"rollback guard status --env {session.environment}  # again: it handles one message at a time"
        )
        code, steps = str(unknown.code), unknown.next.splitlines() or [again]
    return GuardState(
        problems=(*([str(failure)] if failure else []), *declared),
        acts=failure is None and not of_all and not of_one.keys() >= set(settings.alarms),
        unknown=str(unknown) if unknown and code == unknown.code else "",
        code=code,
        next=tuple(steps),
        alarms={name: one["state"] for name, one in found["alarms"].items()},
        decision="TAKE" if isinstance(decision, Take) else str(decision.code),
        why=decision.reason,
        failed=len(found["failed"]),
        missed=missed,
        declined=tuple(
            (entry.at, entry.status) for entry in guarding.declined(session.ledger.timeline(readable=True))
        ),
    )


def _declare(session: Session, found: dict[str, Any]) -> list[str]:
    """What to type where the guard is not as the settings declare it, or they do not let it act."""
    settings, env = session.settings, session.environment
    takes = f"Set rollback:automatic to {{takes: true}} in Pulumi.{env}.yaml, and build the package again."
    differs = _of(settings).runtime not in ("", found["runtime"])
    return [
        *([] if settings.automatic.takes else [takes]),
        *([f"rollback guard build --env {env}"] if differs or not settings.automatic.takes else []),
        _up(settings),
    ]


def _up(settings: Settings) -> str:
    return f"pulumi up --stack {settings.names.foundation_stack}"


def _handle(session: Session, queue: str, *, takes: bool) -> list[str]:
    """What to type about messages that the guard could not process."""
    env, region = session.environment, session.settings.region
    take = f'rollback standby take --env {env} --reason "…"  # an alarm is in ALARM, and the guard has not acted on it'
    look = f"rollback status --env {env}  # a rollback, or the next release, settles it"
    purge = f"aws sqs purge-queue --queue-url {queue} --region {region}  # an administrator, if nothing has to be done"
    return [take if takes else look, purge]


def _failure(session: Session, found: dict[str, Any], answer: Mapping[str, Any]) -> RollbackError | None:
    """How the function failed, and what to type; None if it did not."""
    if "errorMessage" not in answer:
        return None
    settings, message = session.settings, str(answer["errorMessage"])[:500]
    env, guard = session.environment, _of(settings)
    again = [f"rollback guard build --env {env}", _up(settings)]
    built_for, runs = guarding.runtimes(message)
    package = session.root / guard.package
    if built_for and built_for == found["runtime"] and runs != guard.python:
        # Lambda runs what is declared, so that this is an emulator, which runs its own.
        steps = [
            f"Set rollback:guard's runtime to {runs} in Pulumi.{env}.yaml: this account runs no other.",
            *again,
        ]
    elif built_for or not package.is_file() or _sha256(package) != found["code"]:
        steps = again
    else:
        # The deployed package is this one: to build it again would change nothing.
        steps = [f"aws logs tail /aws/lambda/{settings.names.guard} --since 1h --region {settings.region}"]
    return RollbackError(
        f"The guard's function failed: {message}",
        code=Code.AWS_ERROR,
        changed="Nothing was changed.",
        next="\n".join(steps),
    )


def _sha256(package: Path) -> str:
    return base64.b64encode(hashlib.sha256(package.read_bytes()).digest()).decode()


def _problems(found: dict[str, Any], settings: Settings) -> list[str]:
    """What keeps the guard from acting on any alarm, from what `guard.calls.declared` found."""
    runtime = _of(settings).runtime
    return [
        *(
            []
            if settings.automatic.takes
            else ["no alarm may take a standby (the setting `automatic.takes`)"]
        ),
        *([] if found["state"] in ("Active", "Inactive") else [f"its function is {found['state']}"]),
        *(
            [f"its function has {found['runtime']}, not the setting `guard.runtime`"]
            if runtime not in ("", found["runtime"])
            else []
        ),
        *([] if found["concurrency"] == 1 else ["its function's reserved concurrency is not 1"]),
        *([] if found["subscribed"] else ["its topic does not invoke it"]),
    ]


def _of_alarms(alarms: Mapping[str, Mapping[str, Any]], settings: Settings) -> dict[str, str]:
    """The alarms that cannot start the guard, and why."""
    gone = {name: f"the alarm {name} does not exist" for name in settings.alarms if name not in alarms}
    mute = {name: f"the alarm {name} does not notify it" for name, one in alarms.items() if not one["calls"]}
    return gone | mute
