"""The files by which a repository's CI calls this command: one function for each system, `init --github` for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rollback.actions.catalogue.files import File
from rollback.model.proposal import Proposal

# The proposal and the folder that it is written to, below the repository's top (`.` where it is that), give files below
# the repository's top.
CiFiles = Callable[[Proposal, Path], tuple[File, ...]]
SYSTEMS: Mapping[str, CiFiles] = {}


def files(system: str, proposal: Proposal, folder: Path) -> tuple[File, ...]:
    """What `system` (a key of `SYSTEMS`) needs; paths are below the repository's top. None for no system."""
    return SYSTEMS[system](proposal, folder) if system else ()
