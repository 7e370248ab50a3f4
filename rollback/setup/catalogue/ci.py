"""The files by which a repository's CI calls this command (`model.ci_files`), with all environments of the folder."""

from __future__ import annotations

from pathlib import Path

from rollback.config.settings import environments
from rollback.setup import ci_files
from rollback.setup.catalogue.files import File
from rollback.setup.ci_files import Pin
from rollback.setup.proposal import Proposal


def files(system: str, pinned: Pin | None, proposal: Proposal, place: Path, folder: Path) -> tuple[File, ...]:
    """The files for `system` (`ci_files.GITHUB` or `GITLAB`), with paths below the repository's top; empty without a system.

    `place` is the folder of the settings; `folder` is its path below the repository's top.
    """
    if pinned is None:
        return ()
    known = {*environments(place), proposal.environment}
    made = ci_files.files(
        system, pinned, sorted(known), folder=folder.as_posix(), tables=bool(proposal.tables)
    )
    return tuple(File(path=path, text=text) for path, text in made.items())
