"""Writes down each call that policies were asked about, once: for tests, which ask another judge.

One line of JSON a distinct call of a role's session: role, account, region, action, resource, the condition keys that
our policies look at, the decision, and the Sid that decided. Runs inside the emulator's process; imports
nothing of this project beside its neighbours.
"""

from __future__ import annotations

import contextvars
import importlib
import json
import os
from pathlib import Path
from typing import Any

from localaws.emulator import api_names, leading_keys

# Names the folder; without it nothing is written.
FOLDER = "ROLLBACK_LOCAL_CALLS"
KEYS = (leading_keys.KEY, api_names.REQUEST, api_names.RESOURCE)
_SESSION = ":assumed-role/"
# What the request in hand has been judged on, and how.
_asked: contextvars.ContextVar[tuple[Any, Any] | None] = contextvars.ContextVar("judged", default=None)


def install() -> None:
    """Puts a pen beside the judge, in this process, if there is a folder to write to.

    After what teaches the judge: what is written is what it decides in the end.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    evaluator: Any = importlib.import_module("ministack.core.iam_evaluator")
    enforce, evaluate, resolve = evaluator.enforce, evaluator.evaluate, evaluator._resolve_condition_key  # noqa: SLF001 - no other place
    known: set[tuple[Any, ...]] = set()
    sink = Path(folder, f"{os.getpid()}.jsonl").open("a", buffering=1, encoding="utf-8")  # noqa: SIM115 - as long as the process

    def evaluated(context: Any, *policies: Any) -> Any:
        result = evaluate(context, *policies)
        # The policy of a resource is looked at in the same way afterwards; there is none here that would allow.
        if _asked.get() is None:
            _asked.set((context, result))
        return result

    def enforced(*request: Any, **named: Any) -> Any:
        _asked.set(None)
        answer = enforce(*request, **named)
        asked = _asked.get()
        if asked is not None and _SESSION in asked[0].principal_arn:
            call = _call(*asked, resolve)
            if call not in known:
                known.add(call)
                sink.write(f"{json.dumps(call)}\n")
        return answer

    evaluator.evaluate, evaluator.enforce = evaluated, enforced


def _call(context: Any, result: Any, resolve: Any) -> tuple[Any, ...]:
    found = [(key, resolve(key, context)) for key in KEYS]
    keys = tuple(
        (key, tuple(map(str, value)) if isinstance(value, list) else (str(value),))
        for key, value in found
        if value is not None
    )
    return (
        context.principal_arn.partition(_SESSION)[2].partition("/")[0],
        context.principal_account,
        context.region,
        str(context.action),
        context.resource_arn,
        keys,
        result.decision,
        result.matched_sid,
    )
