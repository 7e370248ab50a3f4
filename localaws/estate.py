"""The platform: its Lambda functions, and releases of them, good and bad.

Deployed as a deployer does it: code, a published version whose description is the release's
version, and then a plain UpdateAlias.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from rollback.config.naming import arn
from rollback.config.settings import Settings

# In the account but not in the catalogue. The first begins with the name of a catalogued service,
# so that a mapping of functions to services by prefix would include it.
UNLISTED = ("role-service-admin-console", "team-service-legacy")
_ASSUMED_BY_LAMBDA = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
_WORKERS = 12
_ACTIVE_SECONDS = 60.0
_POLL = 0.05
_EPOCH = (2020, 1, 1, 0, 0, 0)  # a zip's bytes, and so CodeSha256, must depend on its content only

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class EstateRelease:
    """A deployment: full names of the functions that it changes, and of those that it breaks."""

    version: str
    changed: tuple[str, ...]
    broken: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """What a function answered: `payload` is its result, or the error's description if not `ok`."""

    ok: bool
    payload: Any


def story(settings: Settings) -> tuple[EstateRelease, EstateRelease, EstateRelease]:
    """The three releases of the demo: v1.0.0 of everything; v1.1.0, good, which changes five in
    seven of the functions (30 of 42); v1.2.0, whose `team_service` functions fail.

    In a catalogue without `team_service` the first service fails instead.
    """
    functions = list(settings.catalogue())
    victim = "team_service" if "team_service" in settings.services else next(iter(settings.services))
    broken = settings.functions(victim)
    changes = [name for index, name in enumerate(functions) if index % 7 not in (2, 5)]
    harmless = [name for index, name in enumerate(functions) if index % 5 == 0 and name not in broken]
    return (
        EstateRelease(version="v1.0.0", changed=tuple(functions)),
        EstateRelease(version="v1.1.0", changed=tuple(changes)),
        EstateRelease(version="v1.2.0", changed=(*broken, *harmless), broken=frozenset(broken)),
    )


def code(service: str, function: str, version: str, *, broken: bool = False) -> bytes:
    """The deployment package: a handler that returns its service and version, or raises. The same input gives the same
    bytes.
    """
    answer = {"service": service, "function": function, "version": version}
    lines = ["def handler(event, context):"]
    if broken:
        lines.append(f"    raise RuntimeError({f'{service} {version}: members is None'!r})")
    lines.append(f"    return {answer!r}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr(zipfile.ZipInfo("index.py", _EPOCH), "\n".join(lines) + "\n")
    return buffer.getvalue()


def establish(iam: Any, settings: Settings) -> None:
    """Creates the functions' execution role if it does not exist."""
    try:
        iam.create_role(
            RoleName=execution_role(settings), AssumeRolePolicyDocument=json.dumps(_ASSUMED_BY_LAMBDA)
        )
    except iam.exceptions.EntityAlreadyExistsException:
        return


def deploy(
    client: Any,
    settings: Settings,
    version: str,
    *,
    changed: Iterable[str] | None = None,
    broken: Iterable[str] = (),
    promote: bool = True,
    create_alias: bool = False,
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Deploys a release with a Lambda client. Returns the new version of each changed function.

    `changed` and `broken` are services or full function names (by default all and none). A
    function that does not exist is created. `promote` moves the alias if it exists; with
    `create_alias` it is created if it does not (normally the stack declares it). `extra` adds
    functions to the catalogue: full name → service.
    """
    catalogue = {**settings.catalogue(), **(extra or {})}
    names = _selected(catalogue, changed) if changed is not None else list(catalogue)
    raising = set(_selected(catalogue, broken))
    packages = {name: code(catalogue[name], name, version, broken=name in raising) for name in names}
    role = arn("iam", settings.region, settings.account, f"role/{execution_role(settings)}")

    def upload(name: str) -> str | None:
        try:
            client.update_function_code(FunctionName=name, ZipFile=packages[name])
        except client.exceptions.ResourceNotFoundException:
            made = client.create_function(
                FunctionName=name,
                Runtime="python3.12",
                Handler="index.handler",
                Role=role,
                Code={"ZipFile": packages[name]},
                Description=version,
                Publish=True,
                Timeout=10,
            )
            return str(made["Version"])
        return None

    def publish(name: str, made: str | None) -> str:
        _settled(client, name)
        if made is not None:
            return made
        return str(client.publish_version(FunctionName=name, Description=version)["Version"])

    def move(name: str, to: str) -> None:
        try:
            client.update_alias(FunctionName=name, Name=settings.alias, FunctionVersion=to)
        except client.exceptions.ResourceNotFoundException:
            if create_alias:
                client.create_alias(FunctionName=name, Name=settings.alias, FunctionVersion=to)

    uploaded = dict(zip(names, _parallel(upload, [(name,) for name in names]), strict=True))
    published = dict(zip(names, _parallel(publish, list(uploaded.items())), strict=True))
    if promote:
        _parallel(move, list(published.items()))
    return published


def release(
    client: Any, settings: Settings, what: EstateRelease, *, create_alias: bool = False
) -> dict[str, str]:
    """Deploy one release of the story and promote it."""
    return deploy(
        client,
        settings,
        what.version,
        changed=what.changed,
        broken=what.broken,
        create_alias=create_alias,
    )


def unlisted_functions(client: Any, settings: Settings, version: str = "v0.9.0") -> dict[str, str]:
    """Functions that share the prefix but are not the platform's, each with an alias."""
    extra = {settings.names.function(tail): "foreign" for tail in UNLISTED}
    return deploy(client, settings, version, changed=list(extra), create_alias=True, extra=extra)


def invoke(client: Any, function: str, qualifier: str) -> Invocation:
    """Invoke a function through an alias or a version; it really runs."""
    answer = client.invoke(FunctionName=function, Qualifier=qualifier, Payload=b"{}")
    return Invocation(
        ok="FunctionError" not in answer, payload=json.loads(answer["Payload"].read() or b"null")
    )


def execution_role(settings: Settings) -> str:
    """The name of the role that the functions run as."""
    return f"{settings.names.stem}-lambda-execution-role"


def _selected(catalogue: Mapping[str, str], arguments: Iterable[str]) -> list[str]:
    """The functions that `arguments` name, in the catalogue's order. Raises ValueError for an unknown one."""
    wanted = set(arguments)
    strange = wanted - set(catalogue) - set(catalogue.values())
    if strange:
        raise ValueError(f"neither a service nor a function: {', '.join(sorted(strange))}")
    return [name for name, service in catalogue.items() if name in wanted or service in wanted]


def _settled(client: Any, name: str) -> None:
    """Waits until the function's last change has taken effect, as a deployer must."""
    deadline = time.monotonic() + _ACTIVE_SECONDS
    while time.monotonic() < deadline:
        now = client.get_function_configuration(FunctionName=name)
        if now["State"] == "Active" and now["LastUpdateStatus"] == "Successful":
            return
        time.sleep(_POLL)
    raise TimeoutError(f"{name} is not active after {_ACTIVE_SECONDS:.0f} s")


def _parallel(do: Callable[..., _T], arguments: list[tuple[Any, ...]]) -> list[_T]:
    """`do(*arguments)` for each, in order of the arguments; the first error is raised."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(lambda given: do(*given), arguments))
