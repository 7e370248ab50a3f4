"""The chapters on functions, and the order of all. Each step is a command that a person could type, and a claim that is
checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from demo import infrastructure
from demo.edits import COMMIT, DESCRIPTION, EDITS
from demo.engine_output import Summary, totals
from demo.stage import ClaimError, DemoStage
from demo.world import PEOPLE, World
from localaws import estate, shell
from rollback.config.naming import APPROVER, DEPLOYER, ROLES, ROLLBACK

GOOD, FIRST, BAD = "v1.1.0", "v1.0.0", "v1.2.0"
VICTIM = "team_service"
_NO_CHANGES = "--expect-no-changes"
_TAIL = 6
# Maximum lines of a plan, so that it is shown completely.
_PLAN = 24
_WAITING, _REFUSED = 10, 3


def play(world: World) -> None:
    """Runs all chapters."""
    environment(world)
    # Recording mostly waits for API rate limits, so the second account can be set up in parallel.
    behind = world.stage.behind()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_past, replace(world, stage=behind, summary=Summary()), "prod")
        prod = Meanwhile(stage=behind, running=running)
        try:
            releases(world)
            relief(world)
            it_stays(world, prod)
            approval(world, prod)
            infrastructure.stack(world)
            infrastructure.terraform(world)
            infrastructure.full(world)
        finally:
            behind.end()


@dataclass(frozen=True, kw_only=True, slots=True)
class Meanwhile:
    """Work in the background."""

    stage: DemoStage
    running: Future[None]

    def over(self, front: DemoStage) -> None:
        """Returns when it has ended; shows it if it failed."""
        try:
            self.running.result()
        except ClaimError:
            front.whole(self.stage)
            raise


def environment(world: World) -> None:
    """Chapter 1, which the set-up has begun."""
    stage, emulator = world.stage, world.emulator
    stage.narrate(f"The local account is at {emulator.endpoint}. It enforces IAM policies.")
    for name in ("dev", "prod"):
        settings = world.settings(name)
        shell.prepare(emulator.endpoint, settings)
        pages = world.client("lambda", name).get_paginator("list_functions").paginate()
        there = {entry["FunctionName"] for page in pages for entry in page["Functions"]}
        catalogue = set(settings.catalogue())
        stage.prove(
            f"{len(catalogue & there)} Lambda functions exist at {FIRST} in {name} "
            f"({settings.account}, {settings.region})",
            catalogue <= there,
            sorted(catalogue - there),
        )
    stage.narrate(
        "pulumi up deploys what rollbacks need. An administrator deploys the foundation: the ledger and "
        "the roles, with a state that nobody else can write. The deployer deploys aliases 'live' and parameters."
    )
    world.run(["pulumi", "version"], "dev")
    done = [totals(one.output) for one in world.declare("dev")]
    made = sum(one.get("created", 0) for one in done)
    aliases = world.live("dev")
    roles = _roles(world, "dev")
    stage.prove(
        f"{made} resources were created: every function has its alias, {len(roles)} roles have a boundary",
        len(aliases) == len(world.settings("dev").catalogue()) and len(roles) == len(ROLES),
        done,
    )
    stage.narrate("From now on the deployer's role is enough:")
    again = totals(world.up("dev", DEPLOYER, _NO_CHANGES).output)
    stage.prove(f"A second pulumi up changes nothing: {_summary(again)}", set(again) == {"unchanged"}, again)
    stage.close("The environment of 42 functions is deployed; pulumi up is idempotent")


def releases(world: World) -> None:
    """Chapter 2: v1.0.0 recorded, v1.1.0 good, v1.2.0 bad."""
    stage = world.stage
    stage.chapter("Two releases are deployed, and the second is bad")
    stage.narrate(f"{FIRST} is deployed. It is recorded, so that a rollback can go back to it.")
    _recorded(world, "dev", FIRST)
    _deploy(world, "dev", GOOD)
    settings = world.settings("dev")
    _, good, bad = estate.story(settings)
    function = next(name for name in good.changed if name in bad.broken)
    answer = _invoke(world, function)
    stage.prove(f"It answers through the alias live, as {GOOD}", answer.get("version") == GOOD, answer)
    _recorded(world, "dev", GOOD)
    _deploy(world, "dev", BAD)
    answer = _invoke(world, function)
    stage.prove("Through the same alias it now fails", "errorMessage" in answer, answer)
    _recorded(world, "dev", BAD)
    stage.close(f"{GOOD} (30 of 42 functions) and {BAD} (bad) were deployed, invoked and recorded")


def relief(world: World) -> None:
    """Chapter 3: the smoke tests fail, and one command rolls the release back."""
    stage = world.stage
    stage.chapter("One command rolls it back")
    stage.narrate("olga is on call. Her team's health check is one line of configuration, the smoke command:")
    smoke = world.run(
        world.settings("dev").smoke["aliases"],
        "dev",
        ROLLBACK,
        expect=1,
        show=_tail,
        wrap=False,
        assign={"TEST_ENVIRONMENT": "dev"},
    )
    stage.prove(f"The smoke tests fail, and name {VICTIM}", VICTIM in smoke.output)
    reason = f"{VICTIM} raises since {BAD}"
    command = ["rollback", "lambda", "--env", "dev", "--reason", reason]
    done = world.run(command, "dev", ROLLBACK, most=_PLAN)
    record = _newest(world, "dev")
    stage.prove(
        f"Its record is COMPLETE, {record['from_version']} → {record['to_version']}, "
        f"{record['counts']['moved']} moved and {record['counts']['confirmed']} confirmed, after "
        f"{record['elapsed_seconds']:.1f} s of {record['rto_seconds']} s "
        f"(the whole command: {done.seconds:.1f} s)",
        record["status"] == "COMPLETE" and record["to_version"] == GOOD,
        record,
    )
    stage.prove(
        f"{VICTIM} answers again through the alias live, in all its functions", _is_healthy(world, "dev")
    )
    stage.close(
        f"Smoke tests failed; {BAD} → {GOOD} was COMPLETE in {record['elapsed_seconds']:.1f} s of an RTO of "
        f"{record['rto_seconds']} s"
    )


def it_stays(world: World, prod: Meanwhile) -> None:
    """Chapter 4: later deployments do not undo it."""
    stage = world.stage
    stage.chapter("The rollback is not undone")
    before = world.live("dev")
    world.up("dev", DEPLOYER, _NO_CHANGES)
    stage.prove("pulumi up after the rollback has nothing to change", world.live("dev") == before)
    stage.narrate(
        "Now a commit changes another property of what the rollback has written: the description of the "
        f"aliases of {VICTIM}, and of the parameters. An update of an alias also sends its version, and the "
        f"engine's state has the version from before {BAD}; so the stack always refreshes first."
    )
    prod.over(stage)  # its declaration uses the checkout as it is until here
    for edit in EDITS:
        edit.apply(world.work)
    world.run(["git", "commit", "--all", "--message", COMMIT], "dev", DEPLOYER)
    changed = totals(world.up("dev", DEPLOYER).output)
    described = {name for name, text in _descriptions(world, "dev").items() if text == DESCRIPTION}
    stage.prove(
        f"Only that was applied ({_summary(changed)}): {len(described)} aliases now have the description '{DESCRIPTION}'",
        set(changed) == {"updated", "unchanged"}
        and described == set(world.settings("dev").functions(VICTIM)),
        changed,
    )
    after = world.live("dev")
    stage.prove(
        "Every alias still points where the rollback moved it", after == before, _differing(before, after)
    )
    parameter = _parameter(world, "dev")
    stage.prove(f"The parameter still has the deployed version: {parameter}", parameter == GOOD)
    stage.close("pulumi up did not undo the rollback, twice")
    again(world)


def again(world: World) -> None:
    """Chapter 5: the previous release is bad, too."""
    stage = world.stage
    stage.chapter("A second rollback goes further back")
    stage.narrate(
        "Suppose the previous release is slow. The next rollback goes further back, not forward again:"
    )
    world.run(["rollback", "lambda", "--env", "dev", "--reason", f"{GOOD} is slow as well"], "dev", ROLLBACK)
    versions = set(world.live("dev").values())
    stage.prove(f"Everything is at {FIRST}, not at {BAD} again", versions == {FIRST}, versions)
    world.run(["rollback", "history", "--env", "dev"], "dev", ROLLBACK)
    entries = [
        entry for entry in world.query("history", "dev") if {"deployment_id", "rollback_id"} & entry.keys()
    ]
    order = [
        (entry.get("from_version"), entry.get("to_version") or entry.get("version")) for entry in entries
    ]
    expected = [(GOOD, FIRST), (BAD, GOOD), (None, BAD), (None, GOOD), (None, FIRST)]
    stage.prove("The history has all five, newest first", order == expected, order)
    first = entries[1]["rollback_id"]
    shown = world.run(["rollback", "show", first, "--env", "dev"], "dev", ROLLBACK)
    stage.prove("Its journal is complete: nobody has changed it since", "tampered" not in shown.output)
    stage.close(f"The next rollback went to {FIRST}, not back to {BAD}; both journals are complete")


def approval(world: World, prod: Meanwhile) -> None:
    """Chapter 6: prod, one service, and another person's approval."""
    stage = world.stage
    stage.chapter("In prod, another person has to approve")
    stage.narrate("Another account, in af-south-1, was set up with the same releases in the background:")
    stage.claimed(prod.stage)
    stage.narrate(f"Only {VICTIM} is bad, so only that service is rolled back.")
    command = ["rollback", "lambda", "--env", "prod", "--services", VICTIM]
    before = world.live("prod")
    world.run([*command, "--reason", f"{VICTIM} raises since {BAD}"], "prod", ROLLBACK, expect=_WAITING)
    record = _newest(world, "prod")
    name, digest = record["rollback_id"], record["digest"][:16]
    stage.prove(
        f"It waits for approval of digest {digest} and has moved nothing",
        record["status"] == "AWAITING_APPROVAL" and world.live("prod") == before,
        record["status"],
    )
    yes = ["rollback", "approve", name, "--digest", digest, "--env", "prod"]
    olga = PEOPLE[ROLLBACK]
    stage.narrate(f"{olga} cannot approve her own plan: neither under her role, nor under the approver's.")
    world.run(yes, "prod", ROLLBACK, expect=_REFUSED)
    world.run(yes, "prod", APPROVER, person=olga, expect=_REFUSED)
    refusal = _forge(world, "prod", name, record["digest"])
    stage.prove(
        f"IAM also denies her to write an approval into the ledger without the command ({refusal})",
        refusal == "AccessDeniedException",
        refusal,
    )
    stage.narrate(f"{PEOPLE[APPROVER]} reads the plan (rollback show {name}) and approves exactly that plan.")
    read = world.query(f"show {name}", "prod", APPROVER)
    stage.prove(
        f"The approver's role can read it: {len(read['functions'])} functions, digest {read['digest'][:16]}",
        read["digest"] == record["digest"] and read["chain"] == "whole",
        read,
    )
    world.run(yes, "prod", APPROVER, most=5)
    stage.close("In prod nothing moved before another person approved exactly that plan")
    approved(world, name, before)


def approved(world: World, name: str, before: Mapping[str, str]) -> None:
    """Chapter 7: the approved plan is applied; `before` is what was deployed."""
    stage = world.stage
    stage.chapter("Exactly the approved plan is applied")
    world.run(["rollback", "apply", name, "--env", "prod"], "prod", ROLLBACK)
    record = _newest(world, "prod")
    stage.prove(
        f"COMPLETE, approved by {record['approved_by']['person']}",
        record["status"] == "COMPLETE" and record["approved_by"]["person"] == PEOPLE[APPROVER],
        record,
    )
    shown = world.run(["rollback", "status", "--env", "prod"], "prod", ROLLBACK).output
    mixed = f"{BAD}+{VICTIM}@{GOOD}"
    stage.prove(f"prod is mixed: {mixed}", mixed in "".join(shown.split()))
    others = {k: v for k, v in before.items() if k not in world.settings("prod").functions(VICTIM)}
    now = world.live("prod")
    stage.prove(
        f"No other function was moved, and {VICTIM} answers",
        others.items() <= now.items() and _is_healthy(world, "prod"),
        _differing(before, now),
    )
    stage.close(f"In prod only {VICTIM} was rolled back, by exactly the approved plan")


def _past(world: World, environment: str) -> None:
    """An environment with a good release, a bad release, and callers."""
    world.declare(environment)
    for version in (GOOD, BAD):
        _deploy(world, environment, version)
        _recorded(world, environment, version)
    settings = world.settings(environment)
    catalogue = settings.catalogue()
    raising = {name for name, ok in _answers(world, environment, list(catalogue)).items() if not ok}
    world.stage.prove(
        f"All {len(catalogue)} functions are called through the alias live: the {len(raising)} of {VICTIM} fail",
        raising == set(settings.functions(VICTIM)),
        sorted(raising),
    )


# -- helpers -------------------------------------------------------------------------------------------------


def _recorded(world: World, environment: str, version: str) -> None:
    command = ["rollback", "release", "record", "--env", environment, "--version", version, "--commit"]
    world.run([*command, _head(world)], environment, DEPLOYER)


def _deploy(world: World, environment: str, version: str) -> None:
    """Deploys under the deployer's role, as a workflow would."""
    settings = world.settings(environment)
    what = next(item for item in estate.story(settings) if item.version == version)
    client = world.client("lambda", environment, DEPLOYER)
    published = estate.release(client, settings, what)
    live = world.live(environment)
    world.stage.prove(
        f"{version} is deployed in {environment}: new code for {len(published)} of {len(live)} functions, alias "
        f"moved",
        all(live[name] == version for name in published) and len(published) == len(what.changed),
        live,
    )


def _invoke(world: World, function: str) -> dict[str, Any]:
    command = ["aws", "lambda", "invoke", "--function-name", function, "--qualifier", "live", "/dev/stdout"]
    output = world.run(command, "dev", ROLLBACK, show=_two_documents).output
    answer: dict[str, Any] = json.JSONDecoder().raw_decode(output.lstrip())[0]
    return answer


def _is_healthy(world: World, environment: str) -> bool:
    """Whether the bad functions answer now, and none of them is at the bad release."""
    settings = world.settings(environment)
    functions, live = settings.functions(VICTIM), world.live(environment)
    return all(_answers(world, environment, functions).values()) and BAD not in {
        live[name] for name in functions
    }


def _answers(world: World, environment: str, functions: Sequence[str]) -> dict[str, bool]:
    """Whether each function answers when called through the alias live."""
    client, alias = world.client("lambda", environment, ROLLBACK), world.settings(environment).alias
    with ThreadPoolExecutor(4) as pool:
        answered = pool.map(lambda name: estate.invoke(client, name, alias).ok, functions)
        return dict(zip(functions, answered, strict=True))


def _newest(world: World, environment: str) -> dict[str, Any]:
    record: dict[str, Any] = world.query("history --kind aliases --limit 1", environment)[0]
    return record


def _roles(world: World, environment: str) -> list[str]:
    iam, names = world.client("iam", environment), world.settings(environment).names
    boundaries = {
        role: iam.get_role(RoleName=names.role(role))["Role"].get("PermissionsBoundary", {}) for role in ROLES
    }
    return [
        role
        for role, boundary in boundaries.items()
        if boundary.get("PermissionsBoundaryArn", "").endswith(f"/{names.boundary}")
    ]


def _descriptions(world: World, environment: str) -> dict[str, str]:
    settings = world.settings(environment)
    client = world.client("lambda", environment)
    return {
        name: client.get_alias(FunctionName=name, Name=settings.alias).get("Description", "")
        for name in settings.catalogue()
    }


def _parameter(world: World, environment: str) -> str:
    path = world.settings(environment).names.deployed_version
    return str(world.client("ssm", environment).get_parameter(Name=path)["Parameter"]["Value"])


def _forge(world: World, environment: str, rollback_id: str, digest: str) -> str:
    """Tries to write an approval under the rollback role; the error's code, or a sentence if there was none."""
    table = world.settings(environment).names.deployments_table
    try:
        world.client("dynamodb", environment, ROLLBACK).put_item(
            TableName=table,
            Item={
                "PK": {"S": f"APPROVAL#{rollback_id}"},
                "SK": {"S": PEOPLE[APPROVER]},
                "digest": {"S": digest},
            },
        )
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "it was written"


def _head(world: World) -> str:
    head = (world.work / ".git" / "refs" / "heads" / "main").read_text(encoding="ascii")
    return head.strip()


def _tail(output: str) -> list[str]:
    lines = [line for line in output.rstrip().splitlines() if line.strip()]
    return [*(["…"] if len(lines) > _TAIL else []), *lines[-_TAIL:]]


def _two_documents(output: str) -> list[str]:
    """The function's answer and the CLI's report, without a line break between them."""
    end = json.JSONDecoder().raw_decode(output.lstrip())[1]
    return [output.lstrip()[:end], *output.lstrip()[end:].strip().splitlines()]


def _summary(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {label}" for label, count in counts.items())


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [
        f"{name}: {before[name]} → {after.get(name)}" for name in before if before[name] != after.get(name)
    ]
