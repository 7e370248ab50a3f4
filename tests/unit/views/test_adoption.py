"""What can be adopted, on terminals of the usual widths: names are whole, and nothing is wider than the screen."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from rollback.setup.adoption.import_ids import (
    Declared,
    Importable,
    ImportPlan,
    ImportState,
)
from rollback.setup.adoption.view import view

STEM = "bbws-access-dev"
NAMES = (
    f"role/{STEM}-github-actions-role",
    f"{STEM}-github-actions-role/policy/{STEM}-deployer-functions",
    f"{STEM}-audit-trail-536580886816",
)


def found() -> ImportPlan:
    resources = tuple(
        Importable(
            declared=Declared(
                urn=f"urn:{name}",
                type="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
                id=name,
                in_stack=False,
            ),
            state=ImportState.differs,
            properties=("assumeRolePolicy", "maxSessionDuration", "permissionsBoundary"),
        )
        for name in NAMES
    )
    return ImportPlan(found=resources, imports={}, held=())


@pytest.mark.parametrize("width", [80, 120])
def test_names_are_whole_and_the_screen_is_not_overrun(width: int) -> None:
    output = io.StringIO()

    Console(file=output, width=width, highlight=False).print(view(found(), STEM, nothing=False), crop=False)

    lines = output.getvalue().splitlines()
    assert not [line for line in lines if cell_len(line.rstrip()) > width]
    for name in NAMES:
        assert any(name.replace(STEM, "…") in line for line in lines), name
    words = " ".join(" ".join(lines).split())
    assert words.count("pulumi up then changes") == len(NAMES)
