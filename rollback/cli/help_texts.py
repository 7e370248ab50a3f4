"""Help beside the verbs' own: their groups, examples, and suggestions for mistyped words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

# The groups of `rollback --help`, each with its verbs and groups of verbs. The first group is for an incident.
FIRST = "On call"
PANELS: Mapping[str, tuple[str, ...]] = {
    FIRST: ("status", "lambda", "show", "approve", "apply", "resume", "abort", "verify"),
    "Roll back more": ("full", "stack", "terraform", "table"),
    "Release": ("release", "standby", "watch", "freeze", "unfreeze", "prune"),
    "Inspect": ("history", "diff", "report", "audit", "ledger"),
    "Check": ("can", "drill", "acceptance"),
    "Set up": ("init", "adopt", "catalogue", "foundation", "guard", "tools"),
    "Log in": ("login", "logout", "credentials"),
    "Pipelines": ("ci",),
}

# Examples for each verb.
EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "lambda": (
        "rollback lambda --env dev --dry-run",
        'rollback lambda --env dev --reason "checkout answers 500"',
        'rollback lambda --env prod --to v1.1.0 --wait 30m --reason "5xx"',
        'rollback lambda --env dev --services team_service --reason "5xx"',
    ),
    "stack": (
        "rollback stack --env dev --dry-run",
        'rollback stack --env dev --to previous --reason "queue is gone"',
        'rollback stack --env dev --to HEAD~1 --reason "queue is gone"',
    ),
    "terraform": (
        "rollback terraform --env dev --dry-run",
        'rollback terraform --env dev --to previous --reason "wrong TTL"',
    ),
    "table": (
        'rollback table --env dev --table teams \\\n    --to 2026-11-24T09:30:00Z --reason "bad import"',
        'rollback table --env dev --table teams --to before:last --reason "5xx"',
        'rollback table --env dev --table teams --to restored:last \\\n    --cutover copy-back --reason "bad import"',
    ),
    "full": (
        "rollback full --env dev --dry-run",
        'rollback full --env dev --to v1.1.0 --reason "the whole release"',
    ),
    "report": (
        "rollback report --env dev",
        "rollback report last --env dev --file incident.html",
        "rollback report last --env dev --markdown",
    ),
    "freeze": ('rollback freeze --env prod --reason "database migration"',),
    "unfreeze": ('rollback unfreeze --env prod --reason "migration is done"',),
    "prune": (
        "rollback prune --env dev --keep 5",
        'rollback prune --env dev --keep 5 --reason "quota" --digest 3f2a9c01b7de',
    ),
    "audit": ("rollback audit --env prod",),
    "drill": (
        "rollback drill --env dev --scenario code",
        "rollback drill --env dev --report",
    ),
    "adopt": ("rollback adopt --env dev",),
    "init": (
        "rollback init --env staging",
        "rollback init --env staging --stack shop --dry-run",
    ),
    "acceptance": (
        "rollback acceptance --env dev --dry-run",
        "rollback acceptance --env dev --yes",
    ),
    "login": (
        "rollback login --env dev --role rollback",
        "rollback login --env prod --role approver --mfa 123456",
    ),
    "logout": ("rollback logout --env dev",),
    "credentials": ("rollback credentials arn:aws:iam::111122223333:role/shop-dev-rollback-role",),
    "can": (
        "rollback can --env dev",
        "rollback can --env prod --commit HEAD --markdown",
    ),
    "approve": ("rollback approve 01M8JZ821R7P0ZD9S2RN4H13P3 --digest 3f2a9c01b7de --env prod",),
    "apply": (
        "rollback apply 01KB2XQ7 --env prod",
        "rollback apply last --env prod --wait 30m",
        "rollback apply last --env dev --digest 3f2a9c01b7de",
    ),
    "resume": ("rollback resume 01KB2XQ7 --env dev", "rollback resume last --env dev"),
    "abort": (
        "rollback abort 01KB2XQ7 --env dev",
        'rollback abort last --env dev --reason "not needed any more"',
    ),
    "watch": ("rollback watch --env prod --version v1.2.0 --bake 10m",),
    "verify": ("rollback verify --env dev", "rollback verify last --env dev"),
    "status": ("rollback status --env dev", "rollback status --env prod --commit HEAD"),
    "diff": (
        "rollback diff --env dev",
        "rollback diff v1.1.0 v1.2.0 --env dev",
        "rollback diff recorded deployed --env dev",
    ),
    "history": ("rollback history --env dev", "rollback history --env dev --kind release --limit 5"),
    "show": ("rollback show last --env dev", "rollback show 01KB2XQ7 --env dev --json"),
    "release record": (
        "rollback release record --env dev --version v1.2.0 --commit HEAD",
        "rollback release record --env prod --version v1.2.0 --commit HEAD \\\n    --standby 45m",
    ),
    "release adopt": ("rollback release adopt --env dev --version v1.0.0",),
    "release list": ("rollback release list --env dev",),
    "release quarantine": ('rollback release quarantine v1.2.0 --env dev --reason "loses orders"',),
    "release lift": ('rollback release lift v1.2.0 --env dev --reason "was the network"',),
    "standby prepare": ("rollback standby prepare --env prod --for 45m",),
    "standby take": ('rollback standby take --env prod --reason "checkout answers 500"',),
    "catalogue sync": (
        "rollback catalogue sync --env dev --dry-run",
        "rollback catalogue sync --env dev --stack shop --yes",
    ),
    "guard build": ("rollback guard build --env prod",),
    "guard status": ("rollback guard status --env prod",),
    "guard test": ("rollback guard test --env prod",),
    "ci role": ("rollback ci role rollback --env prod",),
    "ci plan": ('rollback ci plan lambda --env prod --reason "checkout answers 500"',),
    "ci reviewer": ("rollback ci reviewer --env prod",),
    "ci apply": ("rollback ci apply 01KB2XQ7 --env prod",),
    "ci end": ("rollback ci end 01KB2XQ7 --env prod",),
    "foundation split": ("rollback foundation split --env dev --dry-run",),
    "ledger import": ("rollback ledger import emergency-dev.jsonl --env dev",),
    "ledger mend": ('rollback ledger mend --env dev --reason "the table was restored"',),
    "tools install": ("rollback tools install",),
}

# Names of options in other tools, or their long forms.
_OPTIONS = {
    "--environment": "--env",
    "--stage": "--env",
    "--message": "--reason",
    "--description": "--reason",
    "--comment": "--reason",
    "--why": "--reason",
    "--target": "--to",
    "--release": "--to",
    "--version": "--to",
    "--revision": "--to",
    "--function": "--except",
    "--exclude": "--except",
    "--skip": "--except",
    "--preview": "--dry-run",
    "--plan": "--dry-run",
    "--noop": "--dry-run",
    "--check": "--dry-run",
    "--force": "--yes",
    "--auto-approve": "--yes",
    "--no-input": "--yes",
    "--non-interactive": "--yes",
    "--hash": "--digest",
    "--sha": "--commit",
    "--silent": "--quiet",
    "--count": "--limit",
    "--format": "--json",
    "--mfa-code": "--mfa",
}
# As `difflib` has it: "quite" for "quiet" is 0.8, "tag" for "stage" is 0.75.
_ALIKE = 0.78


def option_meant(typed: str, options: Iterable[str]) -> str:
    """The one of `options` to suggest for `typed`; empty without a good match. Pure."""
    there = [name for name in options if name.startswith("--")]
    known = {name: name for name in there}
    known |= {called: name for called, name in _OPTIONS.items() if name in there and called not in known}
    words = {called.removeprefix("--"): name for called, name in known.items()}
    word = typed.lstrip("-")
    if alike := [word] if word in words else get_close_matches(word, words, n=1, cutoff=_ALIKE):
        return words[alike[0]]
    if exchanged := [name for called, name in words.items() if sorted(called) == sorted(word)]:
        return exchanged[0]
    # A prefix of an option, or an option with something appended.
    begun = [
        name for name in there if len(word) > 1 and (name[2:].startswith(word) or word.startswith(name[2:]))
    ]
    return begun[0] if len(begun) == 1 else ""
