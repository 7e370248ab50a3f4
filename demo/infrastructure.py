"""The chapters on infrastructure: a stack, a Terraform configuration, and everything at once."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from demo.edits import EDITS, Edit
from demo.engine_output import totals
from demo.stage import ClaimError
from demo.world import World
from localaws import estate
from localaws.toolchain.terraform import ensure_terraform
from rollback.config.naming import DEPLOYER

MENDED, FALSE, WORSE = "v1.3.0", "v1.3.1", "v1.4.0"
VICTIM = "team_service"
_ENV = "dev"
_PARAMETERS = "components/release_parameters.py"
_ROOT, _OUTPUTS = "terraform/main.tf", "terraform/outputs.tf"
_TAGS, _WRONG = 'tags=tags(names, "release-parameters"),', "cost-centre"
_WRONG_TAGS = f'tags={{**tags(names, "release-parameters"), "{_WRONG}": "0000"}},'
_PRINTED, _LIES = "The access platform's API", "Unused, may be deleted"
REPORT = "report.html"
_REFUSED = 3
_VARIABLES = f"-var-file=environments/{_ENV}.tfvars"


def stack(world: World) -> None:
    """A bad infrastructure commit, and a rollback of the stack to the commit before it."""
    stage = world.stage
    stage.chapter("A stack is rolled back to the previous commit")
    stage.narrate(
        "Infrastructure can be bad, too. A commit tags the platform's parameters with a wrong cost centre."
    )
    good = _head(world)
    bad = _commit(world, "Book the parameters", Edit(path=_PARAMETERS, old=_TAGS, new=_WRONG_TAGS))
    changed = totals(world.up(_ENV, DEPLOYER).output)
    stage.prove(
        f"It is deployed: {_tagged(world)} parameters have the wrong tag", _tagged(world) > 0, changed
    )
    done = _rollback(world, "stack", "--to", "previous", "--reason", "wrong cost centre", "--yes")
    stage.prove(
        f"The stack is at {done['to_version'][:7]} again, {done['infrastructure']['update']} resources updated, "
        f"in {done['elapsed_seconds']:.1f} s of {done['rto_seconds']} s",
        done["status"] == "COMPLETE" and good.startswith(done["to_version"][:7]),
        done,
    )
    stage.prove("No parameter has the wrong tag any longer", _tagged(world) == 0)
    stage.narrate(
        "A deployment of main has to run this check first, or it would deploy the bad commit again:"
    )
    world.run(["rollback", "status", "--env", _ENV, "--commit", bad], _ENV, DEPLOYER, expect=_REFUSED)
    stage.close(
        f"The stack was rolled back from {bad[:7]} to {good[:7]}, and {bad[:7]} may not be deployed again"
    )


def terraform(world: World) -> None:
    """The same with Terraform, and a refused destroy."""
    stage = world.stage
    stage.chapter("A Terraform configuration is released")
    tool = ensure_terraform().name
    _init(world, tool)
    # A rollback of aliases writes their descriptions: a stack that declares them would overwrite them.
    undone = [Edit(path=edit.path, old=edit.new, new=edit.old) for edit in EDITS if edit.path != _PARAMETERS]
    world.run(["git", "add", "terraform/.terraform.lock.hcl"], _ENV, DEPLOYER)
    booked = Edit(path=_PARAMETERS, old=_WRONG_TAGS, new=_TAGS)
    repaired = _commit(world, "Book them no more, and lock Terraform's provider", booked, *undone)
    world.up(_ENV, DEPLOYER)
    _apply(world, tool)
    names = world.settings(_ENV).names
    stage.prove(
        f"Terraform has created {names.table('ddb-access-management')} and {names.api('apigw')}",
        _api(world) == _PRINTED,
        _api(world),
    )
    _release(world, MENDED)
    away = _without_table(world)
    without = _commit(world, "Let somebody else keep the table", *away)
    back = [Edit(path=edit.path, old=edit.new, new=edit.old.replace(_PRINTED, _LIES)) for edit in away]
    tagged = Edit(path=_PARAMETERS, old=_TAGS, new=_WRONG_TAGS)
    worse = _commit(world, "Say what the API is for; the table is ours after all", *back, tagged)
    _apply(world, tool)
    _release(world, FALSE, changed=())
    stage.prove(f"The description of {names.api('apigw')} is now: {_LIES}", _api(world) == _LIES)
    stage.close(
        f"Terraform has created the API and a table; the bad commit {worse[:7]} was applied and recorded"
    )
    stage.chapter("It is rolled back, and no table is lost")
    stage.narrate("A tired person types the commit in between, which has no table:")
    command = ["rollback", "terraform", "--env", _ENV]
    why = ["--reason", "the API is in use", "--yes"]
    world.run([*command, "--to", without[:12], *why], _ENV, DEPLOYER, expect=_REFUSED)
    stage.prove(f"{names.table('ddb-access-management')} still exists", _has_table(world))
    done = _rollback(world, "terraform", "--to", "previous", *why)
    stage.prove(
        f"Terraform's configuration is at {done['to_version'][:7]} again, in {done['elapsed_seconds']:.1f} s of "
        f"{done['rto_seconds']} s",
        done["status"] == "COMPLETE"
        and repaired.startswith(done["to_version"][:7])
        and _api(world) == _PRINTED,
        done,
    )
    stage.close(
        f"A plan that would delete a table was refused; {worse[:7]} was rolled back to {repaired[:7]}"
    )


def full(world: World) -> None:
    """Functions, stack and Terraform configuration under one plan."""
    stage = world.stage
    stage.chapter("Everything at once, functions first")
    stage.narrate(
        f"Everything in {WORSE} is bad: its functions, its stack, and again the API's description. Its commit "
        "repairs none of it. It is a new commit, because the quarantined one could not be recorded as deployed."
    )
    command = ["git", "commit", "--allow-empty", "--quiet", "--message", f"Release {WORSE}, nothing repaired"]
    world.run(command, _ENV, DEPLOYER)
    world.up(_ENV, DEPLOYER)
    _apply(world, ensure_terraform().name)
    _release(world, WORSE, broken=[VICTIM])
    stage.prove("Functions, parameters and API are bad", _tagged(world) > 0 and _api(world) == _LIES)
    done = _rollback(world, "full", "--to", MENDED, "--reason", f"everything in {WORSE} is bad", "--yes")
    live = set(world.live(_ENV).values())
    stage.prove(f"Every function is at {MENDED}", live == {MENDED}, live)
    stage.prove(
        f"Stack and Terraform configuration are as in {MENDED}: {_counted(done['infrastructure'])}",
        _tagged(world) == 0 and _api(world) == _PRINTED and done["status"] == "COMPLETE",
        done,
    )
    world.run(["rollback", "history", "--env", _ENV, "--limit", "9"], _ENV, DEPLOYER, most=8)
    world.run(["rollback", "report", "--env", _ENV, "--file", f"../{REPORT}"], _ENV, DEPLOYER)
    page = (world.folder / REPORT).read_text(encoding="utf-8")
    stage.prove("One page reports everything, this record included", done["rollback_id"] in page)
    stage.close(
        f"One plan, one digest, one record: {done['counts']['planned']} steps in {done['elapsed_seconds']:.1f} s of "
        f"{done['rto_seconds']} s"
    )


# -- helpers -------------------------------------------------------------------------------------------------


def _rollback(world: World, verb: str, *options: str) -> Any:
    """Shows a rollback, and returns its record."""
    world.run(["rollback", verb, "--env", _ENV, *options], _ENV, DEPLOYER)
    entries = world.query(f"history --kind {verb} --limit 9", _ENV, DEPLOYER)
    return next(entry for entry in entries if "rollback_id" in entry)


def _commit(world: World, message: str, *edits: Edit) -> str:
    for edit in edits:
        edit.apply(world.work)
    world.run(["git", "commit", "--all", "--quiet", "--message", message], _ENV, DEPLOYER)
    return _head(world)


def _head(world: World) -> str:
    entries = subprocess.run(
        ["git", "-C", str(world.work), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    return entries.stdout.strip()


def _without_table(world: World) -> list[Edit]:
    """Removes the table and its output from the root module."""
    edits = []
    for path, begin, end in (
        (_ROOT, 'resource "aws_dynamodb_table"', 'resource "aws_api_gateway_rest_api"'),
        (_OUTPUTS, 'output "table_name"', 'output "api_id"'),
    ):
        text = (world.work / path).read_text(encoding="utf-8")
        edits.append(Edit(path=path, old=text, new=text[: text.index(begin)] + text[text.index(end) :]))
    return edits


def _release(
    world: World, version: str, *, changed: Sequence[str] | None = None, broken: Sequence[str] = ()
) -> None:
    """Deploys a version of functions (all, or those `changed`), and records it with its commits."""
    client, settings = world.client("lambda", _ENV, DEPLOYER), world.settings(_ENV)
    estate.deploy(client, settings, version, changed=changed, broken=broken)
    commit = _head(world)
    record = ["rollback", "release", "record", "--env", _ENV, "--version", version, "--commit", commit[:12]]
    world.run([*record, "--terraform-commit", commit[:12]], _ENV, DEPLOYER)


def _init(world: World, tool: str) -> None:
    settings = world.settings(_ENV)
    options = {"bucket": settings.names.state_bucket, "region": settings.region, "use_path_style": "true"}
    backend = [f"-backend-config={name}={value}" for name, value in options.items()]
    world.run([tool, "-chdir=terraform", "init", "-no-color", *backend], _ENV, DEPLOYER, show=_last)


def _apply(world: World, tool: str) -> None:
    parts = ["-chdir=terraform", "apply", "-auto-approve", "-no-color", _VARIABLES]
    world.run([tool, *parts], _ENV, DEPLOYER, show=_last)


def _last(output: str) -> list[str]:
    """The tool's last lines."""
    entries = [
        line
        for line in output.splitlines()
        if line.startswith(("Apply complete", "Terraform has been", "OpenTofu has"))
    ]
    if not entries:
        raise ClaimError(f"The output does not say how it ended: {output[-300:]}")
    return entries[-1:]


def _tagged(world: World) -> int:
    """How many of the environment's parameters have the wrong tag."""
    ssm, names = world.client("ssm", _ENV), world.settings(_ENV).names
    paths = (names.deployed_version, names.terraform_commit, names.pulumi_commit)
    lists = [
        ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=path)["TagList"] for path in paths
    ]
    return sum(any(tag["Key"] == _WRONG for tag in tags) for tags in lists)


def _api(world: World) -> str:
    """The description of the environment's API."""
    name = world.settings(_ENV).names.api("apigw")
    found = world.client("apigateway", _ENV).get_rest_apis()["items"]
    return next((str(api.get("description", "")) for api in found if api["name"] == name), "no such API")


def _has_table(world: World) -> bool:
    tables = world.client("dynamodb", _ENV).list_tables()["TableNames"]
    return world.settings(_ENV).names.table("ddb-access-management") in tables


def _counted(infrastructure: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {op}d" for op, count in infrastructure.items() if count and op != "same")
