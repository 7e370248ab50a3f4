"""Teaches the emulator how Lambda carries out what is invoked asynchronously.

What a topic or a schedule invokes is executed once there, whatever comes of it. On AWS it goes to the function's queue:
an execution that fails is tried again as the function says (twice), one that is throttled until the event is too old,
and what fails to the end goes to the dead-letter queue; and a topic invokes a function only where the function's own
policy lets it. The waits between two tries are those of the emulator, seconds in place of AWS's minutes. Runs inside the
emulator's process; imports nothing of this project.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

from __future__ import annotations

import contextvars
import functools
import importlib
import json
import logging
import threading
import time
from typing import Any

_RETRIES, _OLDEST_SECONDS = 2, 21_600
# As on AWS: from a second, doubled, to five minutes.
_THROTTLED, _THROTTLED_LONGEST = 1.0, 300.0


def install() -> None:
    """Puts the queue in place, in this process.

    Raises AttributeError where a newer emulator has moved what is replaced.
    """
    topics: Any = importlib.import_module("ministack.services.sns")
    events: Any = importlib.import_module("ministack.services.eventbridge")
    functions: Any = importlib.import_module("ministack.services.lambda_svc")
    ours = _Queue(functions)
    functions.invoke_async_with_retry = ours.put
    topics._deliver_to_lambda = ours.of_topic  # noqa: SLF001 - there is no other way in, here and below
    events._dispatch_to_lambda = ours.of_schedule  # noqa: SLF001


class _Queue:
    """What is put in the place of functions of the emulator's Lambda (`functions`), SNS and EventBridge."""

    def __init__(self, functions: Any) -> None:
        self._functions = functions
        self._base = functions._LAMBDA_ASYNC_RETRY_BASE_SECONDS  # noqa: SLF001
        self._longest = functions._LAMBDA_ASYNC_RETRY_MAX_SECONDS  # noqa: SLF001

    def put(self, func: Any, event: Any) -> None:
        """In the place of `invoke_async_with_retry`."""
        run = functools.partial(self._run, func, event)
        threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True).start()

    def _run(self, func: Any, event: Any) -> None:
        config = func.get("config") or func
        settings = (
            func.get("event_invoke_config") or (func.get("event_invoke_configs") or {}).get("$LATEST") or {}
        )
        retries = settings.get("MaximumRetryAttempts")
        retries = _RETRIES if retries is None else int(retries)
        last = time.monotonic() + int(settings.get("MaximumEventAgeInSeconds") or _OLDEST_SECONDS)
        failed = throttled = 0
        while True:
            result = self._functions._execute_function(func, event)  # noqa: SLF001
            if not result.get("error"):
                return
            if result.get("throttle"):
                wait = min(_THROTTLED * 2**throttled, _THROTTLED_LONGEST)
                throttled += 1
            else:
                wait = min(self._base * 2**failed, self._longest)
                failed += 1
            if failed > retries or time.monotonic() + wait > last:
                break
            time.sleep(wait)
        target = (settings.get("DestinationConfig") or {}).get("OnFailure", {}).get("Destination")
        target = target or (config.get("DeadLetterConfig") or {}).get("TargetArn")
        if target:
            route = functools.partial(
                self._functions._route_async_failure,  # noqa: SLF001
                target,
                config["FunctionName"],
                event,
                result,
            )
            self._functions._run_with_function_config_scope(config, route)  # noqa: SLF001

    def to_function(self, arn: str, event: Any) -> None:
        """Puts an event into the queue of the function, version or alias with that ARN, if there is one."""
        func, config, _ = self._functions._get_func_record_for_ref(arn)  # noqa: SLF001
        if func and config:
            # By the ARN that it is invoked by, as Invoke does.
            record = dict(self._functions._execution_record_for_config(func, config))  # noqa: SLF001
            record["config"] = {**(record.get("config") or record), "FunctionArn": arn}
            for setting in ("event_invoke_config", "event_invoke_configs"):
                record.setdefault(setting, func.get(setting))
            self.put(record, event)

    def of_topic(self, endpoint: str, envelope: str, topic_arn: str, sub_arn: str, *_: Any) -> None:
        """In the place of `_deliver_to_lambda`."""
        func, _config, _name = self._functions._get_func_record_for_ref(endpoint)  # noqa: SLF001
        if not func or not lets_in(func.get("policy"), "sns.amazonaws.com", endpoint, topic_arn):
            logging.getLogger("sns").warning("SNS may not invoke %s for %s", endpoint, topic_arn)
            return
        record = {
            "EventVersion": "1.0",
            "EventSubscriptionArn": sub_arn,
            "EventSource": "aws:sns",
            "Sns": json.loads(envelope),
        }
        self.to_function(endpoint, {"Records": [record]})

    def of_schedule(self, arn: str, payload: str) -> None:
        """In the place of EventBridge's `_dispatch_to_lambda`."""
        try:
            event = json.loads(payload)
        except ValueError:
            event = {"body": payload}
        self.to_function(arn, event)


def lets_in(policy: Any, service: str, function: str, source: str) -> bool:
    """Whether a function's resource policy lets the service invoke it on behalf of `source` (an ARN). Only where policies
    are evaluated is it asked.
    """
    if not importlib.import_module("ministack.app").AUTH:
        return True
    evaluator: Any = importlib.import_module("ministack.core.iam_evaluator")
    account = source.split(":")[4]
    context = evaluator.EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action="lambda:InvokeFunction",
        resource_arn=function,
        region=source.split(":")[3],
        service_context={"aws:sourcearn": source, "aws:sourceaccount": account},
    )
    return bool(evaluator.evaluate_resource_policy(policy, context, service=service).decision == "Allow")
