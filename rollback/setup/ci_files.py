"""The CI files with which another repository calls this command, on GitHub and on GitLab. Pure.

Everything is pinned: the workflows, or the component, to a commit, and the installed command to the same one, unless
another source is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rollback.util.errors import Code, UsageError
from rollback.util.version import DISTRIBUTION

GITHUB, GITLAB = "github", "gitlab"
_FROM = re.compile(
    r"(?:(?P<host>[a-z0-9][a-z0-9.-]*\.[a-z]{2,})/)?"
    r"(?P<path>[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)+)@(?P<commit>[0-9a-f]{40})"
)
_HOSTS = {GITHUB: "github.com", GITLAB: "gitlab.com"}
# A version, a git URL with a commit, or a wheel's URL, as `uv` and `pip` accept them; no blank, quote or dollar, which
# a script or YAML would interpret.
_SOURCE = re.compile(
    r"[0-9][A-Za-z0-9.+!]*"
    r"|git\+(https|ssh|file)://[A-Za-z0-9_.:/@~%-]+@[0-9a-f]{40}"
    r"|(https|file)://[A-Za-z0-9_.:/@+=~%-]+\.whl"
)
_KINDS = ("lambda", "table")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """The source of the workflows (the component): a repository at a commit; and what is installed."""

    host: str
    path: str
    commit: str
    source: str


def pin(system: str, text: str, source: str = "") -> Pin:
    """Parses `OWNER/NAME@SHA`, with a host before it if it is not on `system`'s own host; `source` is what is installed, by
    default that commit. Raises `UsageError` for something not pinned, or with unsafe characters.
    """
    found = _FROM.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text[:120]!a} is not a repository at a commit.",
            code=Code.OPTION_INVALID,
            next=f"Use the repository of {DISTRIBUTION} and a commit with all 40 digits: OWNER/NAME@SHA.",
        )
    host, path, commit = found["host"] or _HOSTS[system], found["path"], found["commit"]
    if system == GITHUB and (found["host"] or path.count("/") != 1):
        raise UsageError(
            f"{text[:120]!a} is not on github.com, so GitHub cannot call its workflows.",
            code=Code.OPTION_INVALID,
            next="Use a repository on GitHub: OWNER/NAME@SHA.",
        )
    source = source or f"git+https://{host}/{path}@{commit}"
    if not _SOURCE.fullmatch(source):
        raise UsageError(
            f"{source[:120]!a} cannot be installed.",
            code=Code.OPTION_INVALID,
            next="Use a version, a git URL with a commit (git+https://…@SHA), or a wheel's URL.",
        )
    return Pin(host=host, path=path, commit=commit, source=source)


def files(
    system: str, pinned: Pin, environments: Sequence[str], *, folder: str = ".", tables: bool = False
) -> Mapping[str, str]:
    """Path below the repository's root → text. `folder` has the settings; `tables` can be restored."""
    made = _github if system == GITHUB else _gitlab
    return made(pinned, tuple(sorted(environments)), folder, _KINDS if tables else _KINDS[:1])


def _github(pinned: Pin, environments: Sequence[str], folder: str, kinds: Sequence[str]) -> dict[str, str]:
    def workflow(name: str) -> str:
        return f"{pinned.path}/.github/workflows/{name}@{pinned.commit}"

    given = {
        "environments": json.dumps(list(environments)),
        "folder": json.dumps(folder),
        "source": json.dumps(pinned.source),
    }
    call = partial(_CALL.format, workflow=workflow("rollback.yml"), **given)
    made = {
        ".github/workflows/rollback.yml": call(
            what="Roll back functions", inputs=_FUNCTIONS, given=_FUNCTIONS_GIVEN, kind="lambda"
        ),
        ".github/workflows/record-release.yml": _RECORD.format(
            workflow=workflow("release-recorded.yml"), **given
        ),
    }
    if "table" in kinds:
        made[".github/workflows/rollback-table.yml"] = call(
            what="Restore a table", inputs=_TABLE, given=_TABLE_GIVEN, kind="table"
        )
    return made


def _gitlab(pinned: Pin, environments: Sequence[str], folder: str, kinds: Sequence[str]) -> dict[str, str]:
    def component(name: str, **inputs: str) -> str:
        lines = [f"      {key}: {json.dumps(value)}" for key, value in inputs.items()]
        address = f"$CI_SERVER_FQDN/{pinned.path}/{name}@{pinned.commit}"
        return "\n".join([f"  - component: {address}", "    inputs:", *lines])

    given = {"source": pinned.source, "folder": folder}
    return {
        ".gitlab/rollback.yml": _GITLAB.format(
            environments=json.dumps(["", *environments]),
            kinds=json.dumps(list(kinds)),
            components="\n".join(
                component("rollback", environment=one, kind=kind, **given)
                for one in environments
                for kind in kinds
            ),
        )
    }


_CALL = """\
# Written by `rollback init`.
name: {what}

on:
  workflow_dispatch:
    inputs:
      environment:
        description: Environment
        required: true
        type: choice
        options: {environments}
{inputs}      reason:
        description: The reason, on one line
        required: true
        type: string

run-name: {what} of ${{{{ inputs.environment }}}}

permissions: {{}}

jobs:
  rollback:
    name: Rollback
    uses: {workflow}
    permissions:
      contents: read # check out
      id-token: write # assume a role
      actions: read # who reviewed this run, and whether another one has ended
    with:
      environment: ${{{{ inputs.environment }}}}
      kind: {kind}
      role: rollback
      gate: rollback
      reason: ${{{{ inputs.reason }}}}
{given}      folder: {folder}
      source: {source}
"""
_FUNCTIONS = """\
      target_version:
        description: The target release; empty for the previous one
        required: false
        type: string
      services:
        description: Services, separated by commas, or all
        required: false
        type: string
        default: all
      allow_below:
        description: Allow rolling back past a release recorded with --not-below; needs another person's approval
        required: false
        type: boolean
        default: false
"""
_FUNCTIONS_GIVEN = """\
      to: ${{ inputs.target_version }}
      services: ${{ inputs.services }}
      allow_below: ${{ inputs.allow_below }}
"""
_TABLE = """\
      table:
        description: The table
        required: true
        type: string
      target:
        description: "A time, before:ID or release:VERSION; restored:ID for the cutover"
        required: true
        type: string
      cutover:
        description: How to cut over (with restored:ID)
        required: false
        type: choice
        options: [none, copy-back, parameter]
        default: none
"""
_TABLE_GIVEN = """\
      to: ${{ inputs.target }}
      table: ${{ inputs.table }}
      cutover: ${{ inputs.cutover }}
"""
_RECORD = """\
# Written by `rollback init`. A deployment's last job: uses: ./.github/workflows/record-release.yml
name: Record a release

on:
  workflow_call:
    inputs:
      environment:
        required: true
        type: string
      version:
        required: true
        type: string
  workflow_dispatch:
    inputs:
      environment:
        description: Environment
        required: true
        type: choice
        options: {environments}
      version:
        description: The version of the release that is deployed now
        required: true
        type: string

permissions: {{}}

concurrency:
  group: record-release-${{{{ inputs.environment }}}}
  cancel-in-progress: false

jobs:
  record:
    name: Record
    uses: {workflow}
    permissions:
      contents: read # check out
      id-token: write # assume a role
    with:
      environment: ${{{{ inputs.environment }}}}
      version: ${{{{ inputs.version }}}}
      commit: ${{{{ github.sha }}}}
      folder: {folder}
      source: {source}
"""
_GITLAB = """\
# Written by `rollback init`. .gitlab-ci.yml includes it: include: {{local: .gitlab/rollback.yml}}
# Start a pipeline with ROLLBACK_ENVIRONMENT and ROLLBACK_REASON; other jobs need: if: $ROLLBACK_ENVIRONMENT == ""
variables:
  ROLLBACK_ENVIRONMENT:
    value: ""
    options: {environments}
    description: The environment to roll back; empty for no rollback
  ROLLBACK_KIND:
    value: lambda
    options: {kinds}
    description: What to roll back
  ROLLBACK_REASON:
    value: ""
    description: The reason, on one line
  ROLLBACK_TO:
    value: ""
    description: The target release; empty for the previous one

include:
{components}
"""
