"""Previews the checkout's program and an import, on a copy of a stack's state.

A preview and an import only read from the account, and only write to the copy, so that the engine and its
providers report exactly what they would do. The copy is a file backend in a temporary folder, in the
engine's own layout; secrets in it are encrypted as in the state.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rollback.config.settings import PROJECT_FILE, stack_file
from rollback.engines.pulumi.engine import (
    CommandResult,
    CommandWatch,
    Engine,
    Facts,
    failed,
)
from rollback.engines.pulumi.preview_events import PreviewStep, steps
from rollback.engines.pulumi.state_copy import state_copy
from rollback.engines.pulumi.update_history import StackName
from rollback.util.errors import Code, RollbackError
from rollback.util.extras import extra

with extra("pulumi"):
    from rollback.engines.gated.pulumi_command import QuietStack, ignored

_UNCHANGED = "Nothing was changed."


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What the program would do: its `steps`; `imports`: what could be imported, in the format of `pulumi import
    --file` without ids (`{"nameTable": {name: urn}, "resources": [{"type", "name", "id",
    …}]}`); `depends`: URN → property → the URNs that it depends on.
    """

    steps: tuple[PreviewStep, ...]
    imports: Mapping[str, Any]
    depends: Mapping[str, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """The copy in `folder` of the state of `stack`, for the program in `program`."""

    engine: Engine
    stack: str
    program: Path
    folder: Path
    watch: CommandWatch

    def preview(self) -> Forecast:
        """What `pulumi up` would do now. Raises `RollbackError` where the program fails."""
        imports, plan = self.folder / "imports.json", self.folder / "plan.json"
        events: list[tuple[str, Facts]] = []
        self._run(
            "preview",
            lambda stack: stack.preview(import_file=str(imports), plan=str(plan), on_event=ignored),
            "--refresh=false",
            events=events,
        )
        goals = json.loads(plan.read_text(encoding="utf-8"))["resourcePlans"]
        return Forecast(
            steps=tuple(steps(events)),
            imports=json.loads(imports.read_text(encoding="utf-8")),
            depends={
                urn: {name: tuple(urns) for name, urns in _depends(goal).items()}
                for urn, goal in goals.items()
            },
        )

    def imported(self, document: Mapping[str, Any]) -> None:
        """Imports the resources of `document` (`Forecast.imports` with ids). Raises `RollbackError` where
        one of them cannot be read.
        """
        self._run(
            "import",
            lambda stack: stack.import_resources(
                resources=[*document["resources"]],
                name_table=dict(document.get("nameTable") or {}),
                protect=False,
                generate_code=False,
            ),
            events=[],
        )

    def _run(
        self,
        verb: str,
        operation: Callable[[QuietStack], object],
        *options: str,
        events: list[tuple[str, Facts]],
    ) -> CommandResult:
        ended = self.engine.run(
            self.program,
            self.stack,
            operation,
            watch=replace(self.watch, event=lambda kind, data: events.append((kind, data))),
            variables={"PYTHONDONTWRITEBYTECODE": "1"},
            options=(*options, "--config-file", str(self.folder / _config(self.stack))),
        )
        if ended.stopped or ended.late:
            how = "was stopped" if ended.stopped else f"took more than {self.watch.seconds / 60:.0f} minutes"
            raise RollbackError(f"pulumi {verb} {how}.", code=Code.ENGINE_FAILED, changed=_UNCHANGED)
        if not ended.ok:
            raise failed(f"pulumi {verb}", ended, changed=_UNCHANGED)
        return ended


@contextmanager
def rehearsal(
    name: StackName, program: Path, exported: Mapping[str, Any], watch: CommandWatch
) -> Iterator[Rehearsal]:
    """A rehearsal on `exported`, the JSON of `pulumi stack export`; its folder exists until the end of the block.

    `program` is the project's folder in the checkout; its stack file is copied, because the engine writes to it.
    """
    config = _config(name.stack)
    with state_copy(name, exported) as (engine, folder):
        shutil.copyfile(program / stack_file(program, name.stack), folder / config)
        yield Rehearsal(engine=engine, stack=name.stack, program=program, folder=folder, watch=watch)


def _config(stack: str) -> str:
    return f"{Path(PROJECT_FILE).stem}.{stack}.yaml"


def _depends(goal: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (goal.get("goal") or {}).get("propertyDependencies") or {}
    return found
