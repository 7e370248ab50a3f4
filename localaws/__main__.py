"""`python -m localaws up|down|status|env|estate|ledger`: the local account, for people and for Makefiles."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from pathlib import Path

from localaws import estate, identity, shell
from localaws.clients import connect
from localaws.emulator import server
from localaws.errors import LocalError
from localaws.first_steps import first_steps
from localaws.paths import ROOT
from localaws.progress import BuildProgress
from localaws.toolchain import build
from localaws.toolchain.tools import ALL, NECESSARY, missing, prepare
from rollback.config.naming import BREAK_GLASS, DRILL, ROLES
from rollback.config.settings import environments, load
from rollback.util.errors import RollbackError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 failed, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except RollbackError as error:
        print(error, error.next, sep="\n" if error.next else "", file=sys.stderr)
        return error.exit_code
    except (LocalError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return code


def _up(options: argparse.Namespace) -> int:
    progress = BuildProgress()
    try:
        shell.tools(progress)
        emulator = shell.up(progress, auth=not options.no_auth)
    finally:
        progress.done()
    python = Path(sys.executable)
    shown = python.relative_to(ROOT) if python.is_relative_to(ROOT) else python
    print(
        f"The local account answers at {emulator.endpoint} (log: {emulator.log}).\n"
        "Next, in a shell in this folder (docs/local-account.md explains each line):\n\n"
        f"{first_steps(str(shown))}\n\n"
        "End it with: make down"
    )
    return 0


def _tools(_: argparse.Namespace) -> int:
    """Prepares what tests use. What cannot be had is listed, with the tests that are not tried without it."""
    progress = BuildProgress()
    build.ensure_plugins()
    try:
        failed = prepare(ALL, progress)
    finally:
        progress.done()
    for tool, error in failed:
        print(missing(tool, error), file=sys.stderr)
    return int(any(tool in NECESSARY for tool, _ in failed))


def _down(_: argparse.Namespace) -> int:
    print(
        "The local account is stopped. Its state is kept."
        if shell.down()
        else "The local account is not running."
    )
    return 0


def _status(_: argparse.Namespace) -> int:
    emulator = shell.required()
    print(f"{emulator.endpoint}  pid {emulator.pid}  policies {'enforced' if emulator.auth else 'ignored'}")
    for name in environments(ROOT):
        settings = load(ROOT, name)
        pages = connect("lambda", emulator.endpoint, settings).get_paginator("list_functions").paginate()
        count = sum(len(page["Functions"]) for page in pages)
        print(f"  {name:<5} {settings.account}  {settings.region:<11} {count} functions")
    return 0


def _env(options: argparse.Namespace) -> int:
    emulator = shell.required()
    settings = load(ROOT, options.environment)
    credentials = None
    if options.role:
        try:
            # No workflow can assume the break-glass role: only people can, with MFA.
            assume = identity.assume_as if options.role == BREAK_GLASS else identity.assume
            credentials = assume(emulator.endpoint, settings, options.role, options.person)
        except identity.REFUSED as error:
            raise LocalError(
                f"{settings.names.role(options.role)} cannot be assumed: {error}\n"
                f"Deploy the foundation first, as the account's root: pulumi up --stack {settings.names.foundation_stack}"
                + (
                    "\nNobody may use this role unless people.breakGlass names them: docs/local-account.md, An emergency"
                    if options.role == BREAK_GLASS
                    else ""
                )
            ) from None
    # The account's root is its administrator, who deploys the foundation; roles deploy the other stack.
    variables = shell.environment(
        emulator.endpoint, settings, identity=credentials, foundation=credentials is None
    )
    print(shell.exports(variables), end="")
    return 0


def _estate(options: argparse.Namespace) -> int:
    emulator = shell.required()
    settings = load(ROOT, options.environment)
    release = next((r for r in estate.story(settings) if r.version == options.version), None)
    plain = options.changed is None and options.broken is None and release is not None
    changed = release.changed if plain and release else _split(options.changed)
    broken = release.broken if plain and release else _split(options.broken) or ()
    published = estate.deploy(
        connect("lambda", emulator.endpoint, settings),
        settings,
        options.version,
        changed=changed,
        broken=broken,
        promote=not options.no_promote,
        create_alias=options.create_alias,
    )
    if options.json:
        print(json.dumps(published, indent=1))
    else:
        where = "published" if options.no_promote else f"published and promoted to '{settings.alias}'"
        print(f"{options.version}: {len(published)} functions {where} in {options.environment}.")
    return 0


def _ledger(options: argparse.Namespace) -> int:
    emulator, settings = shell.required(), load(ROOT, options.environment)
    away, where = options.place == "away", f"{options.environment} ({settings.account})"
    server.take_away_dynamodb(emulator.endpoint, settings.account, away=away)
    if away:
        print(f"DynamoDB of {where}, and so the ledger, does not answer. Its data are kept. To end that:")
        print(f"python -m localaws ledger back {options.environment}")
    else:
        print(f"DynamoDB of {where} answers, with all its data.")
    return 0


def _split(text: str | None) -> list[str] | None:
    return None if text is None else [part for part in text.split(",") if part]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m localaws", description=__doc__.partition(":")[2].strip())
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    up = verbs.add_parser("up", help="start the account if it is not running, and prepare it")
    up.add_argument("--no-auth", action="store_true", help="do not evaluate IAM policies")
    up.set_defaults(run=_up)
    verbs.add_parser("tools", help="prepare all that tests use, and start nothing").set_defaults(run=_tools)
    verbs.add_parser("down", help="stop it; its state is kept").set_defaults(run=_down)
    verbs.add_parser("status", help="show whether it runs, and its functions").set_defaults(run=_status)
    env = verbs.add_parser("env", help="print the environment variables for a shell")
    env.add_argument("environment")
    env.add_argument(
        "--as",
        dest="role",
        choices=(*ROLES, DRILL, BREAK_GLASS),
        help="assume a role instead of using the account's root",
    )
    env.add_argument("--person", default=getpass.getuser(), help="the person who assumes it (default: you)")
    env.set_defaults(run=_env)
    deploy = verbs.add_parser("estate", help="deploy a release: v1.0.0, v1.1.0, v1.2.0 (bad), or your own")
    deploy.add_argument("environment")
    deploy.add_argument("version")
    deploy.add_argument("--changed", metavar="A,B", help="services or functions (default: all)")
    deploy.add_argument("--broken", metavar="A,B", help="services or functions that fail")
    deploy.add_argument("--no-promote", action="store_true", help="publish only")
    deploy.add_argument("--create-alias", action="store_true", help="create the alias if it is missing")
    deploy.add_argument("--json", action="store_true", help="print a JSON object from function to version")
    deploy.set_defaults(run=_estate)
    ledger = verbs.add_parser("ledger", help="take the ledger of an environment away, to try an emergency")
    ledger.add_argument(
        "place", choices=("away", "back"), help="its DynamoDB does not answer, or answers again"
    )
    ledger.add_argument("environment")
    ledger.set_defaults(run=_ledger)
    return parser


if __name__ == "__main__":
    sys.exit(main())
