"""The account behind the caller's credentials: clients, identity, clock check and rate limits.

Every verb begins with `connect`: whose credentials are these, is this the environment's account,
and does this machine's clock agree with AWS's? Everything else gets its clients from the returned
`Account`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import boto3
from botocore import exceptions
from botocore.config import Config
from botocore.parsers import ResponseParserError

from rollback.aws.answers import trust_nothing
from rollback.aws.call_log import logged
from rollback.aws.pacing import THROTTLES, Throttles, paced
from rollback.aws.session_end import ends
from rollback.config.settings import Settings
from rollback.model.identity import Actor
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)
from rollback.util.secrets import masker
from rollback.util.thread_pool import WORKERS, Pool, workers

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_ssm import SSMClient

T = TypeVar("T")
R = TypeVar("R")
Other = TypeVar("Other")
# AWS refuses requests whose time is off by more than five minutes
# (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html); an approval's expiry
# and a record's times depend on the clock, too.
MAX_SKEW_SECONDS = 300
# Date headers have whole seconds, and responses take time: a smaller difference may not be skew.
_UNSURE_SECONDS = 2
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_INVALID = {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidToken"}
# What to do about invalid credentials, where the environment is not known: see `login_named`.
LOG_IN = "Log in again."
_SKEWED = {"RequestTimeTooSkewed", "RequestInTheFuture"}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


class Clients(Protocol):
    """Clients for reading; implemented by `Account` and `inventory.Visitor`. `lambda_` is paced."""

    @property
    def lambda_(self) -> LambdaClient: ...
    @property
    def client(self) -> Callable[..., Any]: ...
    def each(self, function: Callable[[T], R], items: Iterable[T], /) -> list[R]: ...


@dataclass(frozen=True, kw_only=True)
class Account:
    """Clients of one account and region, and the caller's identity."""

    settings: Settings
    caller: Actor
    lambda_: LambdaClient
    dynamodb: DynamoDBClient
    throttles: Throttles
    # Makes any other service's client, with the same credentials and region. Extra keyword arguments go to
    # `botocore.config.Config` (https://botocore.amazonaws.com/v1/documentation/api/latest/reference/config.html).
    client: Callable[..., Any] = boto3.client
    # Seconds by which this machine's clock is ahead of AWS's; negative if it is behind.
    ahead: float = 0.0
    # When the credentials expire and cannot be renewed, in UTC; None if unknown.
    ends: datetime | None = None
    workers: Callable[[], AbstractContextManager[Pool]] = workers

    @cached_property
    def ssm(self) -> SSMClient:
        made: SSMClient = self.client("ssm")
        return made

    def publish(self, parameter: str, value: str) -> None:
        """Writes a parameter that tells others what is deployed."""
        with explained(f"writing the parameter {parameter.rpartition('/')[2]}"):
            self.ssm.put_parameter(Name=parameter, Value=value, Type="String", Overwrite=True)

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Calls `function` for every item in parallel; the results are in order. The first error is raised."""
        with self.workers() as pool:
            return list(pool.map(function, items))

    def beside(
        self, other: Callable[[], Other], function: Callable[[T], R], items: Iterable[T]
    ) -> tuple[Other, list[R]]:
        """`each` in parallel with `other()`, which is started first."""
        tasks: list[Callable[[], Any]] = [other, *(partial(function, item) for item in items)]
        first, *rest = self.each(lambda task: task(), tasks)
        return first, rest


def connect(settings: Settings, session: boto3.Session | None = None) -> Account:
    """Opens the environment's account, with the caller's credentials or those of `session`.

    Raises `UsageError` (exit 2) without credentials, without access to AWS or with a clock that is more
    than five minutes off, and `Refused` (exit 3) for credentials of another account.
    """
    made = opened(settings.region, session, ahead=("lambda", "dynamodb"))
    if made.account != settings.account:
        raise Refused(
            f"The credentials belong to account {made.account}, but {settings.environment} is "
            f"account {settings.account}.",
            code=Code.WRONG_ACCOUNT,
            next=f"Use credentials of account {settings.account}, or select another environment with --env.",
        )
    throttles = Throttles()
    lambda_ = made.client("lambda")
    paced(lambda_, settings, throttles)
    return Account(
        settings=settings,
        caller=_actor(made.arn),
        lambda_=lambda_,
        dynamodb=made.client("dynamodb"),
        throttles=throttles,
        client=made.client,
        ahead=made.ahead,
        ends=ends(made.session),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """Verified credentials: their owner, and clients made with them."""

    session: boto3.Session
    account: str
    arn: str
    client: Callable[..., Any]
    ahead: float


def opened(
    region: str | None = None, session: boto3.Session | None = None, *, ahead: Iterable[str] = ()
) -> Opened:
    """Asks STS whose credentials the caller has, or `session`. Without a region it is the one that boto3 finds.

    The first clients of the services in `ahead` are made while STS answers: each takes 50 ms of this process. Raises
    `UsageError` as `connect` does.
    """
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 5},
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=WORKERS * 2,
    )
    with explained("asking STS who the caller is", before=True):
        session = session or boto3.Session(region_name=region)
        if session.region_name is None:
            raise UsageError(
                "No AWS region is configured.",
                code=Code.OPTION_INVALID,
                next="Use --region, or set AWS_REGION.",
            )
        trust_nothing(session.events)
        logged(session.events)
        sts = session.client("sts", config=config)
    # The one thing that threads may not do with a session at the same time.
    making = threading.Lock()

    def made(service: str, **more: Any) -> Any:
        # The environment may name an endpoint for one service alone, and one that is none.
        with explained(f"looking for {service}'s endpoint", before=True), making:
            return session.client(service, config=config.merge(Config(**more)))  # type: ignore[call-overload] # any service

    with ThreadPoolExecutor(1) as beside:
        early = {service: beside.submit(made, service) for service in ahead}
        with explained("asking STS who the caller is", before=True):
            identity = sts.get_caller_identity()

    def client(service: str, **more: Any) -> Any:
        ready = early.pop(service, None) if not more else None
        return made(service, **more) if ready is None else ready.result()

    return Opened(
        session=session,
        account=identity["Account"],
        arn=identity["Arn"],
        client=client,
        ahead=_clock_ahead(identity["ResponseMetadata"]["HTTPHeaders"].get("date")),
    )


def caller_account(region: str) -> str:
    """The account id of the caller's credentials. Raises as `explained` does."""
    with explained("asking STS who the caller is", before=True):
        # Not the default session, which would keep the first caller's credentials for the whole process.
        session = boto3.Session(region_name=region)
        logged(session.events)
        return session.client("sts").get_caller_identity()["Account"]


@contextmanager
def explained(doing: str, *, before: bool = False) -> Iterator[None]:
    """Turns botocore's errors into `RollbackError`s that say what was being done.

    `before`: nothing can have been changed yet. Raises `UsageError` for credentials, the connection to AWS
    or the clock, otherwise `RollbackError`.
    """
    kind: type[RollbackError] = UsageError if before else RollbackError
    try:
        yield
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise UsageError(
            "No AWS credentials found.",
            code=Code.NO_CREDENTIALS,
            next="Log in, or set AWS_PROFILE. For the local account, run make up and the commands that it prints.",
        ) from error
    except (
        exceptions.ProfileNotFound,
        exceptions.ConfigParseError,
        exceptions.TokenRetrievalError,
        exceptions.SSOError,
        exceptions.CredentialRetrievalError,
    ) as error:
        sso = isinstance(error, (exceptions.TokenRetrievalError, exceptions.SSOError))
        raise UsageError(
            f"The AWS credentials cannot be used: {error}",
            code=Code.CREDENTIALS_INVALID,
            next="aws sso login" if sso else LOG_IN,
        ) from error
    except exceptions.ClientError as error:
        raise _client_error(error, doing, kind) from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        endpoint = os.environ.get("AWS_ENDPOINT_URL") or "AWS"
        raise kind(
            # An address may contain a password.
            masker({})(f"No response from {endpoint} while {doing}: {_short(error)}"),
            code=Code.AWS_UNREACHABLE,
            next="Check the network"
            + (" and AWS_ENDPOINT_URL (make up starts the local account)." if endpoint != "AWS" else "."),
        ) from error
    except (exceptions.BotoCoreError, ResponseParserError, ValueError) as error:
        # ValueError: botocore's error for an endpoint that is not a URL.
        raise kind(f"The AWS call failed while {doing}: {_short(error)}", code=Code.AWS_ERROR) from error


@contextmanager
def login_named(commands: str) -> Iterator[None]:
    """Has an error of expired or invalid credentials name the commands for new ones."""
    try:
        yield
    except RollbackError as error:
        if error.code is Code.CREDENTIALS_INVALID:
            error.next = error.next.replace(LOG_IN, commands)
        raise


def code(error: exceptions.ClientError) -> str:
    """The error code in an AWS response, e.g. `ResourceNotFoundException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def denied(cause: BaseException | None) -> bool:
    """Whether AWS denied the call."""
    return isinstance(cause, exceptions.ClientError) and code(cause) in _DENIED


def was_refused(error: RollbackError) -> bool:
    """Whether AWS refused the first attempt, so that nothing can have been done.

    After a throttle, a lost response, or any retry this is not certain.
    """
    cause = error.__cause__
    if not isinstance(cause, exceptions.ClientError):
        return False
    metadata = cause.response.get("ResponseMetadata", {})
    # https://www.rfc-editor.org/rfc/rfc9110#section-15.5
    status = metadata.get("HTTPStatusCode", 0)
    return 400 <= status < 500 and status not in (408, 429) and not metadata.get("RetryAttempts")  # noqa: PLR2004 - HTTP, RFC 9110


def _client_error(error: exceptions.ClientError, doing: str, kind: type[RollbackError]) -> RollbackError:
    name, message = code(error), _short(str(error.response.get("Error", {}).get("Message", "")))
    if name in _SKEWED or (
        name in _INVALID | {"InvalidSignatureException"} and "ignature" in message and "expired" in message
    ):
        return UsageError(
            f"AWS refused the request because of its time: {message}",
            code=Code.CLOCK_WRONG,
            next="Correct this machine's clock.",
        )
    if name in _EXPIRED:
        return UsageError("The AWS credentials have expired.", code=Code.CREDENTIALS_INVALID, next=LOG_IN)
    if name in _INVALID:
        return UsageError(
            f"The AWS credentials are not valid ({name}).",
            code=Code.CREDENTIALS_INVALID,
            next=LOG_IN,
        )
    if name in _DENIED:
        return kind(
            f"Access denied while {doing}: {message}",
            code=Code.ACCESS_DENIED,
            next="Use the role that this command needs (docs/reference/permissions.md).",
        )
    if name == "ResourceNotFoundException" and ("able" in message or "equested resource" in message):
        return kind(
            f"Not found while {doing}: {message}",
            code=Code.NOT_DECLARED,
            next="Check that `pulumi up` has been run for this environment.",
        )
    return kind(
        f"AWS returned {name} while {doing}: {message}",
        code=Code.THROTTLED if name in THROTTLES else Code.AWS_ERROR,
    )


def _short(error: Exception | str) -> str:
    return " ".join(str(error).split())[:300]


def _actor(arn: str) -> Actor:
    """`…:assumed-role/ROLE/SESSION` has role and person; for `…:user/NAME` and `…:root` both are the same."""
    resource = arn.split(":", 5)[5]
    kind, _, rest = resource.partition("/")
    if kind == "assumed-role":
        role, _, session = rest.rpartition("/")
        return Actor(role=role, person=session)
    return Actor(role=kind, person=rest or kind)


def _clock_ahead(date: str | None) -> float:
    """Seconds by which this machine's clock is ahead of a response's date; 0 for differences within latency.

    Raises `UsageError` for minutes, because AWS refuses such signatures.
    """
    if date is None:
        return 0.0
    skew = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    if abs(skew) > MAX_SKEW_SECONDS:
        raise UsageError(
            f"This machine's clock is {abs(skew) / 60:.0f} minutes {'ahead of' if skew > 0 else 'behind'} the AWS time.",
            code=Code.CLOCK_WRONG,
            next="Correct the clock (timedatectl set-ntp true), then run the same command again.",
        )
    return skew if abs(skew) > _UNSURE_SECONDS else 0.0
