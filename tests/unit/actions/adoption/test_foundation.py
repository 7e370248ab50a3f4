"""What of a stack is the foundation's, and what a stack is without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rollback.config.settings import load
from rollback.setup.adoption import foundation
from rollback.util.errors import Code, Refused
from tests.coded import coded
from tests.unit.components.pulumi_mocks import run
from tests.unit.components.test_program import GITHUB, ONE_FUNCTION, ROOT, configuration, program

pytestmark = pytest.mark.finding("S5")
# What the program of e6102f6 declared as one stack, for a catalogue of one function and with GitHub's environments.
RECORDED = Path(__file__).with_name("one-stack.json")
AWS = "urn:pulumi:dev::rollback::pulumi:providers:aws::default_7_51_1"
GITHUBS = "urn:pulumi:dev::rollback::pulumi:providers:github::default_6_15_0"


def urns() -> list[str]:
    return list(json.loads(RECORDED.read_text(encoding="utf-8")))


def resource(urn: str, **more: Any) -> dict[str, Any]:
    type_ = urn.split("::")[2].rpartition("$")[2]
    provider = {"aws": f"{AWS}::1", "github": f"{GITHUBS}::2"}.get(type_.partition(":")[0])
    return {"urn": urn, "type": type_, **({"provider": provider} if provider else {}), **more}


def stack(*wanted: str, **more: Any) -> dict[str, Any]:
    return {"version": 3, "deployment": {"resources": [resource(urn) for urn in wanted], **more}}


def left(found: foundation.Split) -> list[str]:
    return [one["urn"] for one in found.rest["deployment"]["resources"]]


def declared(stack: str) -> set[str]:
    """`TYPE NAME` of what today's program declares in a stack."""
    config = configuration("dev", **ONE_FUNCTION, **GITHUB)
    made = run(program, stack=stack, config=config).resources
    return {f"{one.type} {one.name}" for one in made if not one.type.startswith("pulumi:")}


def test_of_what_was_one_stack_aliases_and_parameters_are_left_and_the_foundation_has_the_rest() -> None:
    found = foundation.split(stack(AWS, GITHUBS, *urns()), {"version": 3, "deployment": {}})

    assert set(found.held) == declared("dev-foundation")
    assert {f"{resource(urn)['type']} {urn.rpartition('::')[2]}" for urn in left(found)[1:]} == declared(
        "dev"
    )
    assert set(found.lacking) == set(found.held), "its own stack has nothing yet"


def test_nothing_is_lacking_once_the_foundations_stack_has_it() -> None:
    apart = stack(*(urn.replace("urn:pulumi:dev::", "urn:pulumi:dev-foundation::") for urn in urns()))

    found = foundation.split(stack(AWS, *urns()), apart)

    assert found.held
    assert found.lacking == ()


def test_a_provider_goes_with_the_last_resource_that_it_made() -> None:
    assert left(foundation.split(stack(AWS, GITHUBS, *urns()), {}))[0] == AWS
    assert GITHUBS not in left(foundation.split(stack(AWS, GITHUBS, *urns()), {}))


def test_what_was_begun_on_the_foundation_is_forgotten_and_everything_else_is_kept() -> None:
    ours, theirs = (next(urn for urn in urns() if name in urn) for name in ("Role::deployer", "Alias::"))
    begun = [{"resource": {"urn": urn}, "type": "updating"} for urn in (ours, theirs)]
    manifest = {"secrets_providers": {"type": "passphrase"}, "manifest": {"version": "v3"}}

    found = foundation.split(stack(AWS, *urns(), pending_operations=begun, **manifest), {})

    deployment = found.rest["deployment"]
    assert deployment["pending_operations"] == begun[1:]
    assert {name: deployment[name] for name in manifest} == manifest
    assert found.rest["version"] == 3


def test_a_stack_that_is_split_stays_as_it_is() -> None:
    once = foundation.split(stack(AWS, GITHUBS, *urns()), {})

    again = foundation.split(once.rest, {})

    assert (again.held, again.lacking, again.rest) == ((), (), once.rest)


def test_nothing_is_adopted_into_a_stack_that_still_has_the_foundation() -> None:
    settings = load(ROOT, "dev")
    foundation.refuse_unsplit(foundation.split(stack(AWS, *urns()), {}).rest, settings)

    with pytest.raises(Refused, check=coded(Code.WOULD_DESTROY)) as refused:
        foundation.refuse_unsplit(stack(AWS, *urns()), settings)

    assert refused.value.next.startswith("rollback foundation split --env dev")
