"""Teaches the emulator versions that Lambda has set Inactive: it knows none.

Lambda sets a version Inactive that nobody has invoked for long, and reclaims what it had set up for it. The next
invocation fails and sets it Pending; once all is set up again it is Active. `POST /_lambda/idle` with
`{"account", "region", "function", "version", "seconds": 0.5, "ends": "Active"}` makes one Inactive: so many seconds
after an invocation it is what it `ends` in. Runs inside the emulator's process; imports nothing of this project.

https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html;
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html, Errors: ResourceNotReadyException
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from typing import Any

PATH = "/_lambda/idle"
# By a version's config, while it is idle or wakes: seconds to wake, what it ends in, and when it is awake.
_WAKES, _ENDS, _AWAKE = "_wakes", "_ends", "_awake"
_idle: dict[int, dict[str, Any]] = {}
_REASON = {"StateReason": "The function is idle.", "StateReasonCode": "Idle"}


def asked(request: Mapping[str, Any]) -> None:
    """Makes a version Inactive, as the request says."""
    functions: Any = importlib.import_module("ministack.services.lambda_svc")
    found = functions._functions.get_scoped(request["account"], request["region"], request["function"])  # noqa: SLF001
    config = found["versions"][request["version"]]["config"]
    config.update(_REASON, State="Inactive")
    _idle[id(config)] = {_WAKES: request["seconds"], _ENDS: request["ends"]}


def install() -> None:
    """Puts the states around the emulator's own, in this process.

    Raises AttributeError where a newer emulator has moved what is replaced.
    """
    functions: Any = importlib.import_module("ministack.services.lambda_svc")
    responses: Any = importlib.import_module("ministack.core.responses")
    get, invoke = functions._get_function, functions._invoke  # noqa: SLF001 - no other way in

    def config_of(name: str, qualifier: str | None) -> Any:
        record = functions._functions.get(name) or {}  # noqa: SLF001
        version = record.get("aliases", {}).get(qualifier, {}).get("FunctionVersion", qualifier)
        return record.get("versions", {}).get(version, {}).get("config")

    def settle(config: Any) -> None:
        state = _idle.get(id(config))
        if state and time.monotonic() >= state.get(_AWAKE, float("inf")):
            config.update(State=state[_ENDS], StateReason="", StateReasonCode="")
            del _idle[id(config)]

    def got(name: str, qualifier: str | None = None) -> Any:
        settle(config_of(name, qualifier))
        return get(name, qualifier)

    async def invoked(
        name: str, event: Any, headers: Any, path_qualifier: str | None = None, query_params: Any = None
    ) -> Any:
        given = (query_params or {}).get("Qualifier")
        given = given[0] if isinstance(given, list) else given
        config = config_of(name, path_qualifier or given)
        settle(config)
        if config is not None and config.get("State") == "Inactive":
            state = _idle[id(config)]
            state[_AWAKE] = time.monotonic() + state[_WAKES]
            config.update(
                State="Pending", StateReason="The function is being restored.", StateReasonCode="Restoring"
            )
            return responses.error_response_json(
                "ResourceNotReadyException",
                "The function is inactive and its VPC connection is no longer available.",
                502,
            )
        if config is not None and id(config) in _idle:
            return responses.error_response_json(
                "ResourceConflictException",
                "The operation cannot be performed at this time. The function is currently in the following state: "
                "Pending",
                409,
            )
        return await invoke(name, event, headers, path_qualifier, query_params)

    functions._get_function, functions._invoke = got, invoked  # noqa: SLF001
