"""A copy of a stack's state, in the engine's layout, for trial runs.

The copy is a file backend in a temporary folder; secrets in it are encrypted as in the state.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollback.engines.pulumi.engine import Engine
from rollback.engines.pulumi.update_history import StackName

_ORGANIZATION = "organization"


@contextmanager
def state_copy(
    name: StackName, exported: Mapping[str, Any], references: Iterable[str] = ()
) -> Iterator[tuple[Engine, Path]]:
    """An engine for the copy of `exported` (as `StackName.exported`), and the copy's folder; it exists until
    the end of the block.

    The copy includes the stacks whose outputs the program reads: `references` are their names, as
    `Preview.references`.
    """
    with tempfile.TemporaryDirectory(prefix="rollback-rehearsal-") as place:
        folder = Path(place)
        (folder / ".pulumi").mkdir()
        (folder / ".pulumi" / "meta.yaml").write_text("version: 1\n", encoding="utf-8")
        for reference in references:
            _write(folder, reference, name.referred(reference))
        _write(folder, f"{_ORGANIZATION}/{name.project}/{name.stack}", exported)
        backend = f"file://{folder}"
        variables = {**name.engine.variables, "PULUMI_BACKEND_URL": backend}
        yield replace(name.engine, backend=backend, variables=variables), folder


def _write(folder: Path, name: str, exported: Mapping[str, Any]) -> None:
    """Writes a state into the copy; `name` is its stack's full name."""
    _, project, stack = name.split("/")
    state = folder / ".pulumi" / "stacks" / project / f"{stack}.json"
    state.parent.mkdir(parents=True, exist_ok=True)
    rest = {key: value for key, value in exported.items() if key != "deployment"}
    latest = {"stack": name, "latest": exported.get("deployment")}
    state.write_text(json.dumps({**rest, "checkpoint": latest}), encoding="utf-8")
