"""A copy of a stack's state, in the engine's own layout, on which can be tried what must not be done.

The copy is a backend of files in a temporary folder; secrets in it are encrypted as in the state.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollback.integrations.pulumi.engine import Engine
from rollback.integrations.pulumi.update_history import StackName


@contextmanager
def state_copy(name: StackName, exported: Mapping[str, Any]) -> Iterator[tuple[Engine, Path]]:
    """An engine for the copy of `exported` (as `StackName.exported`), and the copy's folder; it lasts as long as
    the block.
    """
    with tempfile.TemporaryDirectory(prefix="rollback-rehearsal-") as place:
        folder = Path(place)
        state = folder / ".pulumi" / "stacks" / name.project
        state.mkdir(parents=True)
        (folder / ".pulumi" / "meta.yaml").write_text("version: 1\n", encoding="utf-8")
        rest = {key: value for key, value in exported.items() if key != "deployment"}
        latest = {"stack": f"organization/{name.project}/{name.stack}", "latest": exported.get("deployment")}
        (state / f"{name.stack}.json").write_text(
            json.dumps({**rest, "checkpoint": latest}), encoding="utf-8"
        )
        backend = f"file://{folder}"
        variables = {**name.engine.variables, "PULUMI_BACKEND_URL": backend}
        yield replace(name.engine, backend=backend, variables=variables), folder
