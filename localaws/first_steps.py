"""From an empty local account to a release that was rolled back, line by line, in one shell of the checkout's."""

from __future__ import annotations

# Who acts, and what is typed; `docs/local-account.md` has the same lines.
FIRST_STEPS = (
    (
        "As the account's root, declare the foundation: ledger, trail, roles",
        (
            'eval "$({python} -m localaws env dev)"',
            "pulumi stack init dev-foundation",
            "pulumi up --yes --stack dev-foundation",
        ),
    ),
    (
        "As the deployer, declare the rest, and release: v1.1.0 is good, v1.2.0 bad",
        (
            'eval "$({python} -m localaws env dev --as deployer --person dan)"',
            "pulumi stack init dev",
            "pulumi up --yes --stack dev",
            "rollback release record --env dev --version v1.0.0 --commit HEAD",
            "{python} -m localaws estate dev v1.1.0",
            "rollback release record --env dev --version v1.1.0 --commit HEAD",
            "{python} -m localaws estate dev v1.2.0",
            "rollback release record --env dev --version v1.2.0 --commit HEAD",
        ),
    ),
    (
        "As the person on call, roll it back",
        (
            'eval "$({python} -m localaws env dev --as rollback --person alice)"',
            "rollback status --env dev",
            'rollback lambda --env dev --reason "team_service raises since v1.2.0"',
        ),
    ),
)


def first_steps(python: str) -> str:
    """The steps as they are printed and pasted; `python` is the interpreter that has this package."""
    lines: list[str] = []
    for what, commands in FIRST_STEPS:
        lines += [f"# {what}", *(command.format(python=python) for command in commands)]
    return "\n".join(lines)
