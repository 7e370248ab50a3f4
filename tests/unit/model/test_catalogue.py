"""A catalogue is proposed from stacks, construct paths, tags and names; and nothing of it is guessed where it is known."""

from __future__ import annotations

import pytest

from rollback.config.settings import parse
from rollback.model.found import Details, FoundFunction, FoundTable
from rollback.setup import project_files, proposal
from rollback.setup.catalogue.grouping import (
    By,
    Selection,
    chosen,
    common_alias,
    difference,
    near,
    services,
    updated,
)


def made(name: str, stack: str = "", logical: str = "", **tags: str) -> FoundFunction:
    own = {"aws:cloudformation:stack-name": stack, "aws:cloudformation:logical-id": logical} if stack else {}
    return FoundFunction(name=name, tags=own | tags)


SAM = [
    made("orders-prod-GetOrderFunction-1A2B", "orders-prod", "GetOrderFunction"),
    made("orders-prod-ListFunction-3C4D", "orders-prod", "ListFunction"),
    made("payments-prod-GetOrderFunction-5E6F", "payments-prod", "GetOrderFunction"),
]


def test_a_service_is_a_stack_without_its_environments_name() -> None:
    assert services(SAM, {}, "production") == {
        "orders": {
            "GetOrder": "orders-prod-GetOrderFunction-1A2B",
            "List": "orders-prod-ListFunction-3C4D",
        },
        # Entries are each unique in an environment.
        "payments": {"payments-GetOrder": "payments-prod-GetOrderFunction-5E6F"},
    }


def test_in_one_stack_cdks_constructs_are_services() -> None:
    functions = [made(f"app-{n}", "app", f"{n}EC431097") for n in ("OrdersGet", "OrdersPut", "BillingCharge")]
    paths = {
        "app-OrdersGet": "app/Orders/Get/Resource",
        "app-OrdersPut": "app/Orders/Put/Resource",
        "app-BillingCharge": "app/Billing/Charge/Resource",
    }

    assert services(functions, paths, "live") == {
        "Orders": {"Get": "app-OrdersGet", "Put": "app-OrdersPut"},
        "Billing": {"Charge": "app-BillingCharge"},
    }


def test_a_hash_of_cdks_is_no_part_of_an_entry() -> None:
    assert services([made("b-ChargeEC431097-399E", "b", "ChargeEC431097")], {}, "live") == {
        "b": {"Charge": "b-ChargeEC431097-399E"}
    }


def test_without_stacks_a_tag_that_all_have_makes_services() -> None:
    functions = [made("a1", Service="alpha"), made("b1", Service="beta")]

    assert services(functions, {}, "live") == {"alpha": {"a1": "a1"}, "beta": {"b1": "b1"}}


def test_without_stacks_and_tags_the_first_word_that_differs_makes_services() -> None:
    names = ["acme-dev-lambda-team-get", "acme-dev-lambda-team-list", "acme-dev-lambda-role-get"]

    made_of = services([made(name) for name in names], {}, "dev")

    assert {service: list(entries.values()) for service, entries in made_of.items()} == {
        "team": names[:2],
        "role": names[2:],
    }


@pytest.mark.parametrize("by", list(By))
def test_however_it_is_grouped_every_function_is_in_the_settings_once(by: By) -> None:
    functions = [
        *SAM,
        made("all"),
        made("orders"),
        made("_x", "payments-prod", "Orders"),
        made("9" * 64, service="all"),
    ]

    grouped = services(functions, {SAM[0].name: "s/Orders/Get/Resource"}, "production", by=by, tag="service")
    text = project_files.environment("p", "111122223333", "eu-west-1", "production", {
        "services": grouped, "prefix": "p", "alias": "live",
        "approval": {"aliases": "none", "infrastructure": "confirm", "table": "confirm"},
    })  # fmt: skip

    settings = parse("production", project_files.project("p", "p", "live"), text)
    assert sorted(settings.catalogue()) == sorted(one.name for one in functions)


def test_functions_of_another_environment_by_their_names_are_left_out() -> None:
    staging = made("orders-staging-GetOrderFunction-7A8B", "orders-staging", "GetOrderFunction")
    neither = made("tool")

    taken, left = chosen([*SAM, staging, neither], "production", Selection())

    assert (list(taken), list(left)) == ([*SAM, neither], [staging])


def test_where_no_name_says_the_environment_none_is_left_out() -> None:
    functions = [made("orders-dev-get"), made("orders-get")]

    assert chosen(functions, "blue", Selection()) == (tuple(functions), ())


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (Selection(stacks=("orders-prod",)), 2),
        (Selection(prefixes=("payments-",)), 1),
        (Selection(tags=(("team", "a"),)), 1),
        (Selection(stacks=("orders-prod",), excluded=("orders-prod-ListFunction-3C4D",)), 1),
        (Selection(excluded=("tagged",)), 3),
    ],
)
def test_a_selection_narrows_it_down(selection: Selection, count: int) -> None:
    taken, left = chosen([*SAM, made("tagged", team="a")], "production", selection)

    assert (len(taken), left) == (count, ())


def test_the_alias_that_most_functions_have_comes_first() -> None:
    assert common_alias({"a": {"live": "1"}, "b": {"live": "2", "blue": "1"}, "c": {}}) == ("live", "blue")


# -- sync ----------------------------------------------------------------------------------------------------

KNOWN = services(SAM, {}, "production")


def test_what_is_new_and_gone_is_found_and_entries_that_stay_keep_theirs() -> None:
    new = made("orders-prod-CancelFunction-9F", "orders-prod", "CancelFunction")
    there = [*SAM[1:], new]

    found = difference(KNOWN, {one.name for one in there}, there, {}, "production")

    assert found.new == {"orders": {"Cancel": new.name}}
    assert found.gone == {"orders": {"GetOrder": SAM[0].name}}
    assert updated(KNOWN, found) == {
        "orders": {"List": SAM[1].name, "Cancel": new.name},
        "payments": KNOWN["payments"],
    }


def test_a_function_that_cloudformation_replaced_is_the_same_entry_under_another_name() -> None:
    replaced = made("orders-prod-GetOrderFunction-ZZZZ", "orders-prod", "GetOrderFunction")
    there = [replaced, *SAM[1:]]

    found = difference(KNOWN, {one.name for one in there}, there, {}, "production")

    assert (dict(found.new), dict(found.gone)) == ({}, {})
    assert found.renamed == (("orders", "GetOrder", SAM[0].name, replaced.name),)
    assert updated(KNOWN, found)["orders"]["GetOrder"] == replaced.name


def test_a_new_function_without_the_alias_is_named_and_left_out() -> None:
    new = made("orders-prod-CancelFunction-9F", "orders-prod", "CancelFunction")
    there = [*SAM, new]

    found = difference(KNOWN, {one.name for one in there}, there, {}, "production", without_alias={new.name})

    assert found.empty
    assert found.without_alias == (new.name,)


def test_only_the_catalogue_of_a_file_is_replaced() -> None:
    text = (
        "# mine\nconfig:\n  p:alias: live  # ours\n  p:services:\n    # of orders\n    orders: {a: b}\n\n"
        "  # who\n  p:people:\n    onCall: [x]\nencryptionsalt: v1:abc\n"
    )

    made_of = project_files.with_setting(text, "p", "services", {"new": {"c": "d"}})

    assert made_of == (
        "# mine\nconfig:\n  p:alias: live  # ours\n  p:services:\n    new:\n      c: d\n\n"
        "  # who\n  p:people:\n    onCall: [x]\nencryptionsalt: v1:abc\n"
    )
    assert project_files.with_setting("config:\n  p:alias: live\n", "p", "services", {}) is None


# -- the rest of a proposal ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "production"),
    [("production", True), ("prod-eu", True), ("live", True), ("staging", False), ("dev", False)],
)
def test_production_is_told_by_its_name(environment: str, production: bool) -> None:
    assert proposal.is_production(environment) is production


def test_one_person_confirms_in_production_and_several_approve() -> None:
    assert proposal.approval(production=True, approvers=False)["aliases"] == "none"
    assert proposal.approval(production=True, approvers=True) == {}
    assert proposal.approval(production=False, approvers=False) == {}


@pytest.mark.parametrize(
    ("prefix", "environment"), [("shop", "production"), ("a-very-long-prefix", "prod-eu-central")]
)
def test_permission_sets_have_names_of_their_own_that_identity_center_takes(
    prefix: str, environment: str
) -> None:
    made_of = proposal.permission_sets(prefix, environment, production=True)

    assert len(set(made_of.values())) == len(made_of) == 4
    assert max(map(len, made_of.values())) <= 32


def test_tables_are_listed_where_they_can_be_restored() -> None:
    found = Details(
        tables=(
            FoundTable(name="orders-prod-OrdersTable-1A2B3C4D5E6F", recoverable=True),
            FoundTable(name="orders-prod-cache", recoverable=False),
            FoundTable(name="unknown"),
        )
    )

    assert proposal.tables(found, "production") == {"orders": "orders-prod-OrdersTable-1A2B3C4D5E6F"}


@pytest.mark.parametrize(("functions", "minutes"), [(12, 5), (1000, 5), (3000, 12)])
def test_the_time_budget_holds_what_the_quota_allows(functions: int, minutes: int) -> None:
    assert proposal.rto_minutes(functions) == minutes


def test_a_function_is_near_those_that_are_listed_by_their_stack_or_by_all_of_their_names_but_the_last_word() -> (
    None
):
    known = {"orders-get", "acme_b_put", "single"}
    account = [made(one) for one in known]
    account += [made("orders-x"), made("orders-x-y"), made("other"), made("acme_b_get"), made("acme_c_get")]

    assert [one.name for one in near(account, known) if one.name not in known] == ["orders-x", "acme_b_get"]
    stacked = [made("a", "s"), made("b", "s"), made("c", "t")]
    assert [one.name for one in near(stacked, {"a"})] == ["a", "b"]
