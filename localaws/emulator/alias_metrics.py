"""Teaches the emulator the metrics of Lambda as AWS reports them: an alias's beside the function's, and what an
asynchronous invocation came to.

The emulator reports on `FunctionName` alone, nothing of what fails asynchronously, and a throttled call twice; and it
forgets a reserved concurrency where the call comes through an alias. Here
each execution is reported once: on `FunctionName`; where it came through a version or an alias, on `FunctionName` and
`Resource=<function>:<alias>` too; and through an alias with weights, on these two and `ExecutedVersion`. Runs inside
the emulator's process; imports nothing of this project.

https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

_NAMESPACE = "AWS/Lambda"
_PLAIN_ARN_PARTS = 7


def install() -> None:
    """Puts the reports in place, in this process.

    Raises AttributeError where a newer emulator has moved what is replaced.
    """
    functions: Any = importlib.import_module("ministack.services.lambda_svc")
    metrics: Any = importlib.import_module("ministack.services.cloudwatch")
    execute, slot = functions._execute_function_dispatch, functions._acquire_execution_slot  # noqa: SLF001 - no other way in

    def report(config: Mapping[str, Any], values: Mapping[str, tuple[float, str]]) -> None:
        record = functions._functions.get(config.get("FunctionName", "")) or {}  # noqa: SLF001
        for dimensions in reported_on(config, record.get("aliases", {})):
            for metric, (value, unit) in values.items():
                metrics.record_metric(_NAMESPACE, metric, value, unit, dimensions)

    def executed(func: Any, config: Any, event: Any, request_id: str, started: float) -> Any:
        result = execute(func, config, event, request_id, started)
        report(
            config,
            {
                "Invocations": (1, "Count"),
                "Errors": (1 if result.get("error") else 0, "Count"),
                "Throttles": (0, "Count"),
                "Duration": (max(time.time() - started, 0.0) * 1000, "Milliseconds"),
            },
        )
        return result

    def acquired(func: Any, config: Any) -> Any:
        # Kept with the function, for all of its versions.
        reserved = (functions._functions.get(config.get("FunctionName", "")) or {}).get("concurrency")  # noqa: SLF001
        found = slot(func if reserved is None else {**func, "concurrency": reserved}, config)
        if found[0] is None:  # a throttled call is no invocation
            report(config, {"Throttles": (1, "Count")})
        return found

    functions._execute_function_dispatch, functions._acquire_execution_slot = executed, acquired  # noqa: SLF001
    functions._emit_lambda_metrics = lambda *_, **__: None  # noqa: SLF001


def reported_on(config: Mapping[str, Any], aliases: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The sets of dimensions of one execution. `config` is that of the version that ran, with the ARN it was invoked by;
    `aliases` are the function's, by name.
    """
    name = str(config.get("FunctionName", "unknown"))
    plain = {"FunctionName": name}
    yield plain
    parts = str(config.get("FunctionArn", "")).split(":")
    qualifier = parts[_PLAIN_ARN_PARTS] if len(parts) > _PLAIN_ARN_PARTS else ""
    if not qualifier or qualifier == "$LATEST":
        return
    qualified = {**plain, "Resource": f"{name}:{qualifier}"}
    yield qualified
    weights = ((aliases.get(qualifier) or {}).get("RoutingConfig") or {}).get("AdditionalVersionWeights")
    if weights:
        yield {**qualified, "ExecutedVersion": str(config.get("Version", ""))}
