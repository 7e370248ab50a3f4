"""The commit of chapter 4: it changes other properties of the resources that a rollback writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from demo.stage import ClaimError

COMMIT = "Describe the aliases of team_service, and the parameters"
DESCRIPTION = "What callers invoke"


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """Replaces `old`, which must occur exactly once in the file `path`, by `new`."""

    path: str
    old: str
    new: str

    def applied(self, text: str) -> str:
        """The file's text with the edit. Raises `ClaimError` if the edit no longer fits."""
        if text.count(self.old) != 1:
            raise ClaimError(
                f"{self.path} does not contain {self.old!r} exactly once: change the demo to match the file."
            )
        return text.replace(self.old, self.new)

    def apply(self, root: Path) -> None:
        file = root / self.path
        file.write_text(self.applied(file.read_text(encoding="utf-8")), encoding="utf-8")


EDITS = (
    Edit(
        path="components/live_aliases.py",
        old="ignore_changes=THE_ROLLBACKS)",
        new='ignore_changes=THE_ROLLBACKS[:2] if tail.startswith("team-") else THE_ROLLBACKS)',
    ),
    Edit(
        path="components/live_aliases.py",
        old="                function_version=newest[function],\n",
        new="                function_version=newest[function],\n"
        f'                description="{DESCRIPTION}" if tail.startswith("team-") else None,\n',
    ),
    Edit(
        path="components/release_parameters.py",
        old="                type=aws.ssm.ParameterType.STRING,\n",
        new="                type=aws.ssm.ParameterType.STRING,\n"
        '                description="Written by every release and rollback",\n',
    ),
)
