"""All that is wrong with settings is said at once: where it is, and what would be right."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import yaml
from pydantic.alias_generators import to_camel

from rollback.config.model import Settings
from rollback.config.problems import PROVIDERS
from rollback.config.settings import from_config, parse
from rollback.util.errors import Code, UsageError
from tests.coded import coded

PROJECT = """\
name: orders
runtime: python
config:
  prefix:
    type: string
    default: acme
  rto:
    default:
      code: 5
      infra: 15
"""
STACK = """\
config:
  aws:region: Frankfurt
  orders:alias: live
  orders:aliass: live
  orders:services:
    orders:
      get: orders get
    payments: [pay, pay]
  orders:people:
    onCall:
      - alice
      - arn:aws:iam::111122223333:user/bob
  orders:approval: {aliases: maybe}
"""


def wrong(project: str = PROJECT, stack: str = STACK) -> UsageError:
    with pytest.raises(UsageError, check=coded(Code.SETTINGS_INVALID)) as raised:
        parse("dev", project, stack)
    return raised.value


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("aws:allowedAccountIds", ""),
        ("aws:region", "Pulumi.dev.yaml line 2"),
        ("orders:aliass", "Pulumi.dev.yaml line 4"),
        ("orders:services.orders.get", "Pulumi.dev.yaml line 7"),
        ("orders:services.payments.1", "Pulumi.dev.yaml line 8"),
        ("orders:people.onCall.0", "Pulumi.dev.yaml line 11"),
        ("orders:approval.aliases", "Pulumi.dev.yaml line 13"),
        ("orders:rto.infra", "Pulumi.yaml line 10"),
    ],
)
def test_every_wrong_setting_is_named_with_its_file_and_line(setting: str, place: str) -> None:
    (line,) = [line for line in wrong().what.splitlines() if f"{setting}:" in line or f"'{setting}'" in line]

    assert line.strip().startswith(f"{place}: " if place else setting)


def test_they_are_counted_and_there_is_no_more_than_one_line_for_each() -> None:
    first, *rest = wrong().what.splitlines()

    assert "8 problems" in first
    assert len(rest) == 8


def test_an_example_of_what_would_be_right_is_given_for_each_that_has_one() -> None:
    examples = yaml.safe_load("\n".join(wrong().next.splitlines()[1:]))

    assert set(examples) == {
        "aws:allowedAccountIds",
        "aws:region",
        "orders:services",
        "orders:people",
        "orders:rto",
        "orders:approval",
    }
    fixed = yaml.safe_load(STACK)["config"] | examples
    del fixed["orders:aliass"]
    project = PROJECT.replace("      infra: 15\n", "")
    assert (
        parse("dev", project, yaml.safe_dump({"config": fixed | {"orders:repository": "a/b"}})).prefix
        == "acme"
    )


def test_one_that_is_wrong_is_one_sentence() -> None:
    stack = yaml.safe_load(STACK)["config"]
    config = {key: value for key, value in stack.items() if key == "orders:alias"} | {
        "aws:allowedAccountIds": ["111122223333"],
        "aws:region": "eu-central-1",
        "orders:production": False,
    }

    error = wrong(PROJECT.replace("      infra: 15\n", ""), yaml.safe_dump({"config": config}))

    assert error.what == "The settings of environment 'dev' are not valid: orders:services: it is not set."
    assert error.next.startswith("In Pulumi.dev.yaml, for example: orders:services: {")


def test_the_engines_map_has_no_lines_and_all_that_is_wrong_is_said_there_too() -> None:
    with pytest.raises(UsageError, check=coded(Code.SETTINGS_INVALID)) as raised:
        from_config("orders", "dev", {"orders:alias": "a b", "orders:leaseSeconds": "0"})

    for setting in ("orders:alias", "orders:leaseSeconds", "orders:prefix", "orders:services", "aws:region"):
        assert setting in raised.value.what


def test_a_file_full_of_another_tools_keys_is_answered_in_one_screen() -> None:
    config = {f"orders:key{number}": number for number in range(500)}

    assert len(wrong(stack=yaml.safe_dump({"config": config})).what.splitlines()) < 30


@pytest.mark.parametrize("key", ["ordres:approval", "Orders:approval", "approval"])
def test_a_setting_under_a_misspelt_project_is_no_setting_of_anothers(key: str) -> None:
    stack = yaml.safe_dump({"config": {key: {"aliases": "identity"}, "other:approval": 1}})

    assert f"unknown setting '{key}'. Did you mean 'orders:approval'?" in wrong(stack=stack).what
    assert "other:approval" not in wrong(stack=stack).what


def test_an_example_is_spelt_as_it_has_to_be_and_has_no_anchors() -> None:
    stack = yaml.safe_dump({"config": {"orders:lease_seconds": 60, "orders:people": {"oncall": ["a"]}}})

    then = wrong(stack=stack).next

    assert "orders:leaseSeconds: " in then
    assert "lease_seconds" not in then
    assert "&" not in then
    assert "*" not in then


SOUND = {
    "aws:region": "eu-west-1",
    "aws:allowedAccountIds": ["111122223333"],
    "orders:prefix": "acme",
    "orders:repository": "a/b",
    "orders:services": {"orders": ["get"]},
    "orders:production": False,
    "orders:alias": "live",
}
JUNK: tuple[Any, ...] = (
    5, -1, 1.5, True, None, "x y", "x" * 500, [], [1], [None], [["a"]], {}, {"a": 1}, {"aliases": [1]}, 10**9,
)  # fmt: skip


def fields() -> Iterator[tuple[str, str]]:
    """Every setting by its key, and with each of its own fields."""
    for name, field in Settings.model_fields.items():
        key = PROVIDERS.get(name, f"orders:{to_camel(name)}")
        yield key, ""
        for model in (field.annotation, *getattr(field.annotation, "__args__", ())):
            for inner in getattr(model, "model_fields", ()):
                yield key, to_camel(inner)


def refused(key: str, value: Any) -> UsageError | None:
    stack = yaml.safe_dump({"config": SOUND | {key: value}})
    try:
        parse("dev", "name: orders\n", stack)
    except UsageError as error:
        return error
    return None


@pytest.mark.slow
@pytest.mark.parametrize("of_so_many", [7, pytest.param(1, marks=pytest.mark.soak)])
def test_whatever_a_setting_is_given_what_is_wrong_is_said_in_words_of_our_own(of_so_many: int) -> None:
    said = {
        line.strip()
        for (key, inner), value in list(product(fields(), JUNK))[::of_so_many]
        if (error := refused(key, {inner: value} if inner else value)) is not None
        for line in error.what.splitlines()
    }

    assert len(said) > 40
    theirs = ("nput", "should", "instance of", "dictionary", "tuple", "parse", "[key]")
    assert not [line for line in said if any(word in line for word in theirs)]


@pytest.mark.parametrize("wrong_word", [5, "a\0b", ["c"]])
def test_one_wrong_word_of_the_smoke_command_is_one_sentence_with_its_line_and_an_example(
    wrong_word: Any,
) -> None:
    error = refused("orders:smoke", ["python", wrong_word])

    assert error is not None
    assert error.what == (
        "The settings of environment 'dev' are not valid: Pulumi.dev.yaml line 14: orders:smoke.1: it must be text."
    )
    assert error.next.startswith("In Pulumi.dev.yaml, for example: orders:smoke: [")


def test_a_kind_that_the_smoke_command_is_not_for_is_named_with_those_that_there_are() -> None:
    error = refused("orders:smoke", {"lambda": ["sh"]})

    assert error is not None
    assert "orders:smoke.lambda: it must be 'aliases', 'stack', " in error.what
