"""The commands from an empty local account to a rollback, for one shell in the checkout."""

from __future__ import annotations

# Who acts, and the commands. The quick start in docs/local-account.md is the same text.
FIRST_STEPS = (
    (
        "As the account's root: declare the ledger, its archive and the roles",
        (
            'eval "$({python} -m localaws env dev)"',
            "pulumi stack init dev-foundation",
            "pulumi up --yes --stack dev-foundation",
        ),
    ),
    (
        "As the deployer: declare aliases and parameters, and deploy and record three releases, of which v1.2.0 is bad",
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
        "As the person on call: look, and roll back",
        (
            'eval "$({python} -m localaws env dev --as rollback --person alice)"',
            "rollback status --env dev",
            'rollback lambda --env dev --reason "team_service raises since v1.2.0"',
        ),
    ),
)


def first_steps(python: str) -> str:
    """The steps as text to paste; `python` is the interpreter with this package."""
    blocks = (
        "\n".join([f"# {what}", *(command.format(python=python) for command in commands)])
        for what, commands in FIRST_STEPS
    )
    return "\n\n".join(blocks)
