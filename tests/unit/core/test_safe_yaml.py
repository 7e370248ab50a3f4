"""Configuration that was made to hang, to burst or to mislead: each is answered at once, in a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rollback.util import safe_yaml
from rollback.util.errors import Code, UsageError
from tests.coded import coded

# Each line refers nine times to the one before it: 9^9 values.
_LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
_MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (_LAUGHS, "more than 100,000 values"),
        (_MERGES, "more than 100,000 values"),
        ("a: &a [*a]\n", "an anchor that contains itself"),
        ("a: &a {b: {<<: *a}}\n", "an anchor that contains itself"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ("a: " + "{a: " * 5000, "nested too deeply"),
        (
            "a: !!python/object/apply:os.system ['touch ran']\n",
            "could not determine a constructor for the tag",
        ),
        ("a: !!python/name:os.system\n", "could not determine a constructor for the tag"),
        ("a: !evil x\n", "could not determine a constructor for the tag"),
        ("a: 1\na: 2\n", "duplicate key 'a'"),
        ("? [a]\n: 1\n", "unhashable key"),
        (f"a: {'9' * 5000}\n", "has an invalid value"),
        ("a: 2024-99-99\n", "has an invalid value"),
        ("a: !!int x\n", "has an invalid value"),
        ("a: !!bool x\n", "has an invalid value"),
        ("a: !!timestamp x\n", "has an invalid value"),
        ("a: \x07\n", "special characters are not allowed"),
        ("--- {a: 1}\n--- {b: 2}\n", "but found another document"),
        ("%YAML 9.9\n--- {}\n", "incompatible YAML document"),
        ("[a]", "must be a mapping"),
        ("'{}'", "must be a mapping"),
    ],
)
def test_a_text_that_is_no_configuration_is_reported(text: str, expected: str) -> None:
    with pytest.raises(UsageError, check=coded(Code.SETTINGS_INVALID)) as raised:
        safe_yaml.mapping("Pulumi.dev.yaml", text)

    assert expected in raised.value.what
    assert raised.value.what.startswith("Pulumi.dev.yaml ")


def test_anchors_that_stay_within_bounds_are_followed() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n"

    assert safe_yaml.mapping("Pulumi.yaml", text) == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2},
    }
    assert safe_yaml.mapping("Pulumi.yaml", "") == {}


def test_a_file_is_read_as_it_is_and_through_a_link_that_stays_within(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("a: é\r\n", newline="")
    (tmp_path / "link").symlink_to("there")

    assert safe_yaml.read(tmp_path / "link", tmp_path) == "a: é\r\n"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("pipe", "it is not a regular file"),
        ("link to a pipe", "it is not a regular file"),
        ("folder", "Is a directory"),
        ("link out", "a link that leads out of the checkout"),
        ("link to a device", "a link that leads out of the checkout"),
        ("link to nothing", "No such file"),
        ("loop", "Too many levels of symbolic links"),
        ("huge", "larger than 400,000 bytes"),
        ("binary", "not UTF-8 (byte 0)"),
        ("missing", "No such file"),
    ],
)
def test_what_cannot_be_read_is_reported_at_once(tmp_path: Path, kind: str, text: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    path = root / "Pulumi.dev.yaml"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "link to a pipe":
            os.mkfifo(root / "pipe")
            path.symlink_to("pipe")
        case "folder":
            path.mkdir()
        case "link out":
            (tmp_path / "other").write_text("a: 1")
            path.symlink_to("../other")
        case "link to a device":
            path.symlink_to("/dev/zero")
        case "link to nothing":
            path.symlink_to("nothing")
        case "loop":
            path.symlink_to("Pulumi.dev.yaml")
        case "huge":
            path.write_bytes(b"#" * 400_001)
        case "binary":
            path.write_bytes(b"\xff\xfe")
        case _:
            pass

    with pytest.raises(
        UsageError, match=r"^Pulumi\.dev\.yaml ", check=coded(Code.SETTINGS_INVALID)
    ) as raised:
        safe_yaml.read(path, root, next="look at it")

    assert text in raised.value.what
    assert raised.value.next == "look at it"
