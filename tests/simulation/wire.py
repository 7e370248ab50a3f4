"""Between a process and AWS: where a call may be lost, doubled, delayed or refused, and where it is watched.

What botocore does with an answer that did not come, or that says "later", is done here as it does it: five
attempts at most (`rollback.aws.account.connect`), the same client token for each, and the number of attempts beyond
the first in what an error tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from rollback.aws.answers import MalformedAnswer, malformed
from tests.simulation.aws.answers import Pages, answered, refused
from tests.simulation.calls import Call, about
from tests.simulation.fibers import Killed

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

_ATTEMPTS = 5
_PAUSE = 0.5
_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one call.

    `attempts` says it of each attempt, beginning with the first; what is not said goes well:
    "throttle" and "error" are answers to a request that was not carried out, "lost" is no answer to one
    that was, "away" no answer to one that never arrived, "late" no answer to one that arrives later.
    `again`: once carried out, it is delivered once more, later. `dies`: the process ends "before" it is
    sent, or "after" it was carried out.
    """

    attempts: tuple[str, ...] = ()
    again: bool = False
    dies: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """A request that is still on its way."""

    process: Process
    call: Call
    deliver: Callable[[], Any]


class Wire:
    """All calls of one process."""

    def __init__(self, world: World, process: Process) -> None:
        self._world, self._process = world, process
        self.armed: Fault | None = None
        self.beats_armed: Fault | None = None
        # Until then nothing of this process arrives.
        self.cut_until = 0.0

    def send(self, operation: str, method: Callable[..., Any], request: dict[str, Any]) -> Any:
        process, world = self._process, self._world
        subject = about(operation, request)
        beat = process.beating_now
        call = Call(operation, subject, process.stage.phase(operation, subject, beat=beat))
        if beat:
            # A thread of its own: it is never where the schedule stops a process.
            process.alive()
            fault, self.beats_armed = self.beats_armed, None
            if fault is not None:
                world.struck(process, call)
        else:
            process.meet(call)
            world.pass_time(process.latency)
            process.alive()
            fault, self.armed = self.armed, None
        if operation == "transact_write_items":
            request["ClientRequestToken"] = world.identifier()
        return self._attempted(call, method, request, fault or Fault(), beat=beat)

    def _attempted(
        self, call: Call, method: Callable[..., Any], request: dict[str, Any], fault: Fault, *, beat: bool
    ) -> Any:
        if fault.dies == "before":
            self._die()
        for number in range(_ATTEMPTS):
            self._wait(_PAUSE if number and not beat else 0.0)
            what = fault.attempts[number] if number < len(fault.attempts) else ""
            if self._world.now < self.cut_until:
                what = "away"
            if not what:
                return self._answered(call, method, request, fault, number)
            last = number + 1 == _ATTEMPTS
            if what in _BODIES:
                answer = self._malformed(what, call, method, request, number)
                if answer is not None:
                    return answer
            elif what not in _ANSWERS:
                self._unanswered(what, call, method, request, number)
                self._wait(0.0 if beat else _TIMEOUT if last else 1.0)
            if last:
                raise _failed(what, call.operation, number)
        raise AssertionError("the last attempt has returned or raised")

    def _answered(
        self, call: Call, method: Callable[..., Any], request: dict[str, Any], fault: Fault, number: int
    ) -> Any:
        answer = self._carried_out(call, method, request, number)
        if fault.dies == "after":
            self._die()
        if fault.again:
            self._later(call, method, request)
        if isinstance(answer, ClientError):
            raise answer
        return answer

    def _unanswered(
        self, what: str, call: Call, method: Callable[..., Any], request: dict[str, Any], number: int
    ) -> None:
        if what == "lost":
            self._carried_out(call, method, request, number)
        elif what == "late":
            self._later(call, method, request)

    def _malformed(
        self, what: str, call: Call, method: Callable[..., Any], request: dict[str, Any], number: int
    ) -> Any:
        """An answer of success of which the body is not the service's, as botocore reads it: as empty.

        None where `rollback.aws.answers` notices. An error of the service comes back as it is.
        """
        answer = self._carried_out(call, method, request, number)
        if isinstance(answer, ClientError):
            raise answer
        content = _BODIES[what]
        length = len(content) * 2 if what == "cut" else len(content)
        http = SimpleNamespace(
            status_code=HTTPStatus.OK, headers={"content-length": str(length)}, content=content
        )
        parsed = answered()
        name = "".join(part.title() for part in call.operation.split("_"))
        return None if malformed(_service(method), name, http, parsed) else parsed

    def _wait(self, seconds: float) -> None:
        if not seconds:
            return
        self._world.pass_time(seconds)
        self._process.alive()

    def _carried_out(
        self, call: Call, method: Callable[..., Any], request: Mapping[str, Any], number: int
    ) -> Any:
        """What the service answers; an error comes back as a value, for nobody may hear of it."""
        try:
            return self._world.carry_out(self._process, call, method, request)
        except ClientError as error:
            return _with_attempts(error, number)

    def _later(self, call: Call, method: Callable[..., Any], request: dict[str, Any]) -> None:
        sent = dict(request)
        self._world.post(
            Letter(
                self._process,
                call,
                lambda: self._world.carry_out(self._process, call, method, sent),
            )
        )

    def _die(self) -> None:
        self._process.dead = True
        self._process.beats.clear()
        raise Killed


class Client:
    """A boto3 client whose every call goes through a wire."""

    def __init__(self, wire: Wire, model: Any) -> None:
        self._wire, self._model = wire, model

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        method = getattr(self._model, operation)

        def call(**request: Any) -> Any:
            return self._wire.send(operation, method, request)

        setattr(self, operation, call)
        return call

    def get_paginator(self, operation: str) -> Pages:
        pages: Pages = self._model.get_paginator(operation)
        return Pages(call=getattr(self, operation), tokens=pages.tokens)


def _throttle(operation: str) -> ClientError:
    if operation == "transact_write_items":
        return refused(
            "TransactWriteItems",
            "TransactionCanceledException",
            "Transaction cancelled",
            CancellationReasons=[{"Code": "ThrottlingError"}],
        )
    if operation in ("query", "get_item", "update_item"):
        return refused(operation, "ProvisionedThroughputExceededException", "Slow down.")
    return refused(operation, "TooManyRequestsException", "Rate exceeded", HTTPStatus.TOO_MANY_REQUESTS)


def _server_error(operation: str) -> ClientError:
    return refused(
        operation, "ServiceException", "Something is wrong with us.", HTTPStatus.INTERNAL_SERVER_ERROR
    )


def _service(method: Callable[..., Any]) -> str:
    """botocore's name of the service of which a model has a method."""
    return _SERVICES[type(method.__self__).__name__]  # type: ignore[attr-defined] # a model's


_SERVICES = {"Lambda": "lambda", "DynamoDB": "dynamodb", "Ssm": "ssm", "S3": "s3"}
_BODIES = {"cut": b'{"FunctionVersion": "3", "Rev', "page": b"<html>Hello</html>", "hollow": b"{}"}
_ANSWERS = {"throttle": _throttle, "error": _server_error}


def _with_attempts(error: ClientError, number: int) -> ClientError:
    error.response["ResponseMetadata"]["RetryAttempts"] = number
    return error


def _failed(what: str, operation: str, number: int) -> Exception:
    """What botocore, or `rollback.aws.answers`, raises once no attempt is left."""
    if what in _ANSWERS:
        return _with_attempts(_ANSWERS[what](operation), number)
    if what in _BODIES:
        return MalformedAnswer(operation=operation)
    kind = ConnectTimeoutError if what == "away" else ReadTimeoutError
    return kind(endpoint_url="https://aws")
