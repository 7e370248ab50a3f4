"""`python -m tests.golden [NAME…]`: writes the golden files. Only a change that means to change an answer does that."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.golden import messages, plans
from tests.golden.situations import answer, situations

FOLDER = Path(__file__).parent


def answers() -> Mapping[str, Any]:
    return {f"{one.recording} {one.name}": answer(one) for one in situations()}


FILES: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    "answers": answers,
    "plans": plans.digests,
    "messages": messages.messages,
    "reports": messages.reports,
    "codes": messages.codes,
}


def text(found: Mapping[str, Any]) -> str:
    """A line for each, so that a difference is read."""
    lines = (
        f"{json.dumps(name)}: {json.dumps(one, sort_keys=True, ensure_ascii=False)}"
        for name, one in found.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    for name in sys.argv[1:] or FILES:
        (FOLDER / f"{name}.json").write_text(text(FILES[name]()), encoding="utf-8")
