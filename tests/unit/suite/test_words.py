"""The words that `make check` looks for are found where a person reads them, and nowhere else."""

from __future__ import annotations

import pytest

from tools.words import wrong


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("What stands in dev", "stands"),
        ("Barred until it is lifted", "Barred"),
        ("whoever goes on", "whoever"),
        ("it was put back as it was", "put back"),
        ("it puts it back", "puts it back"),
    ],
)
def test_a_private_word_is_found_and_the_plain_one_named(text: str, word: str) -> None:
    ((found, instead),) = wrong(text)

    assert found == word
    assert instead


@pytest.mark.parametrize(
    "text", ["v1.1.0 is deployed", "a release on standby", "quarantined", "rolled back", "withstanding"]
)
def test_plain_words_are_left_alone(text: str) -> None:
    assert not list(wrong(text))
