"""Permission sets in an account that `pulumi up` has not declared: the same policies, put there by its root."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from components import break_glass
from components.boundary import boundary
from components.of_settings import scope_of
from components.permission_sets import permissions
from components.permissions import function_policies
from components.policies import text
from localaws import identity_center
from rollback.config.naming import BREAK_GLASS
from tests.e2e.estate_under_test import Person, Platform


def assign(
    platform: Platform,
    sets: Mapping[str, str],
    people: Iterable[Person],
    *,
    also: Mapping[str, str] | None = None,
    regions: Mapping[str, str] | None = None,
) -> None:
    """Makes the policies of `sets` (role → set), assigns the sets and signs `people` in, whose role is their set.

    `also` maps further sets to the role whose policies they have; `regions` says where a set's role has one in its path.
    The boundary and functions' policies are made where they are not there.
    """
    settings, scope = platform.settings, scope_of(platform.settings)
    iam = platform.root_client("iam")
    there = {one["PolicyName"] for one in iam.list_policies(Scope="Local")["Policies"]}

    def made(name: str, document: str) -> str:
        if name not in there:
            iam.create_policy(PolicyName=name, PolicyDocument=document)
            there.add(name)
        return name

    ceiling = made(settings.names.boundary, text(boundary(scope)))
    refers_to = {}
    for role, name in sets.items():
        functions = (
            break_glass.function_permissions(scope) if role == BREAK_GLASS else function_policies(role, scope)
        )
        documents = {"permissions": permissions(role, scope), "functions": functions}
        policies = [
            made(f"{settings.names.stem}-{role}-{what}-{number}", text(document))
            for what, parts in documents.items()
            for number, document in enumerate(parts, 1)
        ]
        refers_to[name] = {"policies": policies, "boundary": ceiling}
    refers_to |= {name: refers_to[sets[role]] for name, role in (also or {}).items()}
    for name, one in refers_to.items():
        identity_center.assign(platform.endpoint, settings, name, one, region=(regions or {}).get(name, ""))
    for person in people:
        platform.comes_as(
            person, identity_center.sign_in(platform.endpoint, settings, person.role, person.name)
        )
