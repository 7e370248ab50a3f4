"""The schema of what the verbs answer as JSON covers every verb, in one vocabulary, and says no more than they do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.main import get_command

from rollback.cli.app import VERBS, app
from rollback.views.json_output import SCHEMA_VERSION
from tests import outputs
from tools import output_schema

# AWS reads what `credentials` answers, and runners what the others do.
_ANOTHER_PROTOCOL = {"credentials", *(f"ci {verb}" for verb in VERBS["ci"])}
_VERBS = [
    verb if group == "rollback" else f"{group} {verb}" for group, verbs in VERBS.items() for verb in verbs
]


def options(verb: str) -> set[str]:
    """The options that a verb has."""
    command: Any = get_command(app)
    for name in verb.split():
        command = command.commands[name]
    made = command.make_context(verb, [], resilient_parsing=True).command
    return {name for one in made.params for name in one.opts}


def properties(schema: Any) -> Iterator[tuple[str, Any]]:
    """Each key that is not an old one's, and its schema."""
    if isinstance(schema, dict):
        for name, one in schema.get("properties", {}).items():
            if not one.get("deprecated"):
                yield name, one
                yield from properties(one)
        for key, one in schema.items():
            if key != "properties":
                yield from properties(one)
    elif isinstance(schema, list):
        for one in schema:
            yield from properties(one)


@pytest.mark.parametrize("verb", _VERBS)
def test_every_verb_answers_as_json_by_a_schema_or_speaks_another_protocol(verb: str) -> None:
    spoken = verb in _ANOTHER_PROTOCOL

    assert (verb in output_schema.ANSWERS) is not spoken
    assert ({"--json", "--output", "-o"} <= options(verb)) is not spoken
    assert (outputs.verb_of(verb.split()) == verb) is not spoken


def test_the_published_schema_is_the_one_that_the_code_makes() -> None:
    Draft202012Validator.check_schema(dict(outputs.SCHEMA))

    assert output_schema.main([]) == 0


@pytest.mark.finding("U12")
def test_people_and_times_have_one_shape_and_no_key_is_a_word_that_is_called_otherwise_elsewhere() -> None:
    exact = {"$ref": "#/$defs/ExactTime"}  # an event's, which is hashed
    keys = [(name, schema) for name, schema in properties(outputs.SCHEMA) if schema != exact]
    nothing = {"type": "null"}
    shapes = {"_at": "Time", "_by": "Person"}
    records = "moved_by"

    wrong = [
        (name, schema)
        for name, schema in keys
        for end, shape in shapes.items()
        if name.endswith(end) and name != records
        if schema not in (ref := {"$ref": f"#/$defs/{shape}"}, {"anyOf": [ref, nothing]}, nothing)
    ]

    assert not wrong
    words = {"at", "by", "from", "stands", "apart", "barred", "bars", "strangers", "standing", "holders"}
    assert not words & {name for name, _ in keys}


@pytest.mark.finding("U12")
@pytest.mark.parametrize(
    "key",
    [
        "account", "commit", "deployed", "digest", "environment", "error", "frozen", "from_version", "function",
        "function_count", "is_deployed", "next", "not_checked", "quarantined_versions", "reason", "region",
        "resource_counts", "rollback_id", "service", "to_version", "under", "verification", "version",
    ],
)  # fmt: skip
def test_what_is_called_the_same_has_the_same_shape(key: str) -> None:
    nothing = {"type": "null"}
    shapes = {
        json.dumps({name: value for name, value in shape.items() if name != "description"}, sort_keys=True)
        for name, schema in properties(outputs.SCHEMA)
        if name == key
        for shape in schema.get("anyOf", [schema])
        if shape != nothing
    }

    assert len(shapes) == 1, shapes


@pytest.mark.finding("U12")
def test_no_object_takes_a_key_that_the_schema_does_not_name() -> None:
    document = {"schema_version": SCHEMA_VERSION, "next": [], "environment": "dev", "forgotten": []}

    outputs.fits("logout", document)
    for wrong in ({**document, "by": "alice"}, {**document, "schema_version": 0}, {"environment": "dev"}):
        with pytest.raises(AssertionError, match="rollback logout"):
            outputs.fits("logout", wrong)


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("rollback status --env dev", True),
        ('AWS_PROFILE=a rollback lambda --env dev --reason "team # 1 is down"', True),
        ("cd /srv/platform", True),
        ("rollback status --env dev  # which says why", False),
        ("Wait for it.", False),
        ("--to V", False),
        ("rollback", False),
    ],
)
def test_what_to_type_next_is_a_command_and_nothing_beside_it(line: str, right: bool) -> None:
    document = {"schema_version": SCHEMA_VERSION, "next": [line], "environment": "dev", "forgotten": []}

    if right:
        outputs.fits("logout", document)
    else:
        with pytest.raises(AssertionError):
            outputs.fits("logout", document)


def test_what_is_not_the_file_is_named_with_the_command_that_makes_it_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(output_schema, "FILE", tmp_path / "output.schema.json")

    assert output_schema.main([]) == 1
    assert "python -m tools.output_schema --write" in capsys.readouterr().err
    assert output_schema.main(["--write"]) == output_schema.main([]) == 0
    assert json.loads((tmp_path / "output.schema.json").read_text())["$id"].endswith(f":{SCHEMA_VERSION}")
