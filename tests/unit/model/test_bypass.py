"""What invokes a function past its alias is found by what it names, and nothing else is."""

from __future__ import annotations

import pytest

from rollback.model.bypass import Bypass, Invoker, Reference, bypasses

REGION, ACCOUNT = "eu-west-1", "111122223333"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:orders"
URI = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions"


def found(text: str, kind: Invoker = Invoker.MAPPING, own: str = "") -> list[tuple[str, str]]:
    reference = Reference(kind=kind, source="it", text=text, own=own)
    return [
        (one.function, one.qualifier)
        for one in bypasses([reference], {"orders", "orders-worker"}, REGION, ACCOUNT)
    ]


@pytest.mark.parametrize(
    ("text", "qualifier"),
    [
        (ARN, ""),
        (f"{ARN}:$LATEST", "$LATEST"),
        (f"{ARN}:7", "7"),
        (f"{URI}/{ARN}/invocations", ""),
        (f"{URI}/{ARN}:7/invocations", "7"),
        (ARN.replace("arn:aws:", "arn:aws-cn:"), ""),
    ],
)
def test_a_function_without_its_alias_is_found_wherever_its_arn_is(text: str, qualifier: str) -> None:
    assert found(text) == [("orders", qualifier)]


@pytest.mark.parametrize(
    "text",
    [
        f"{ARN}:live",
        f"{URI}/{ARN}:live/invocations",
        f"{ARN}:canary",
        f"{ARN}-of-others",
        ARN.replace(REGION, "eu-central-1"),
        ARN.replace(ACCOUNT, "444455556666"),
        "arn:aws:sqs:eu-west-1:111122223333:orders",
        "",
    ],
)
def test_an_alias_another_function_and_another_accounts_are_none_of_it(text: str) -> None:
    assert found(text) == []


def test_a_variable_names_a_function_by_its_name_alone_too() -> None:
    assert found("orders", Invoker.VARIABLE) == [("orders", "")]
    assert found("orders:$LATEST", Invoker.VARIABLE) == [("orders", "$LATEST")]
    assert found(f"{ACCOUNT}:function:orders:3", Invoker.VARIABLE) == [("orders", "3")]
    assert found("orders:live", Invoker.VARIABLE) == []
    assert found("444455556666:function:orders", Invoker.VARIABLE) == []
    assert found("the orders of today", Invoker.VARIABLE) == []
    assert found("orders") == [], "elsewhere a name is not a function's"


def test_a_functions_own_name_in_its_own_settings_says_who_it_is() -> None:
    assert found("orders", Invoker.VARIABLE, own="orders") == []
    assert found(ARN, Invoker.VARIABLE, own="orders") == [("orders", "")], "it invokes itself"


def test_all_that_a_text_names_is_found_once_and_in_order() -> None:
    text = f'{{"a": "{ARN}-worker", "b": "{ARN}", "again": "{ARN}"}}'

    assert found(text, Invoker.VARIABLE) == [("orders", ""), ("orders-worker", "")]


def test_a_bypass_says_what_invokes_what() -> None:
    one = Bypass(kind=Invoker.URL, source="https://x.example", function="orders", qualifier="")

    assert str(one) == "function URL https://x.example invokes orders, without an alias"
