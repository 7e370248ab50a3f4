"""Summarises the output of `pulumi up`: changes by type, warnings, and totals."""

from __future__ import annotations

import re
from collections import Counter

# The official plugins do not cause these lines: they are where the engine looks first.
_NOISE = re.compile(r"warning: using pulumi-(language-python|resource-aws) from \$PATH at ")
_DONE = re.compile(
    r"^ (?P<sign>[-+~]{1,2}) +(?P<type>\S+) (?P<name>\S+) +(?P<word>created|updated|deleted|replaced)\b(?P<rest>.*)"
)
# An unchanged resource; its warnings are repeated in full under Diagnostics.
_SAME = re.compile(r"^    \S+:\S+ \S+ *(\d+ warnings?|warning: .*)?$")
_UNDER_WAY = re.compile(
    r"^( ([-+~]{1,2})? +\S+:\S+ \S+ +(creating|updating|deleting|replacing|refresh|refreshing|running|read)\b.*"
    r"|@ updating\.*|Updating \(.*\):|View Live: .*|)$"
)
_RESOURCE = re.compile(r"^  \S.*\):$")
_DIFFERENCE = re.compile(r"\[diff: ([^\]]*)\]")


class Summary:
    """Makes the lines, and shows each warning only once."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def __call__(self, output: str) -> list[str]:
        """The lines to show. Unrecognised lines are shown unchanged."""
        changes: Counter[tuple[str, str, str, str]] = Counter()
        other: list[str] = []
        for line in output.splitlines():
            done = _DONE.match(line)
            if done:
                difference = _DIFFERENCE.search(done["rest"])
                what = difference[1] if difference else ""
                changes[done["sign"], done["type"], done["word"], what] += 1
            elif not _SAME.match(line.rstrip()) and not _UNDER_WAY.match(line.rstrip()):
                other.append(line.rstrip())
        lines = [
            f" {sign:<2}{count:>4} {kind} {verb}{f' [{what}]' if what else ''}"
            for (sign, kind, verb, what), count in changes.items()
            if not kind.startswith(("pulumi:", "rollback:index:"))
        ]
        return [*lines, *self._without_noise(other)]

    def _without_noise(self, lines: list[str]) -> list[str]:
        """Diagnostics without noise; an error keeps the line of its resource."""
        kept: list[str] = []
        header = ""
        for line in lines:
            stripped = line.strip()
            if stripped in ("", "Diagnostics:") or _NOISE.search(line) or stripped in self._seen:
                continue
            if line == "Resources:":
                header = ""
            if _RESOURCE.match(line):
                header = line
            elif stripped.startswith("warning:"):
                self._seen.add(stripped)
                kept.append(f" {stripped}")
            else:
                if header and line.startswith("    "):
                    kept.append(header)
                header = ""
                kept.append(line)
        return kept


def totals(output: str) -> dict[str, int]:
    """`{"created": 68}`, from the lines below `Resources:`."""
    below = output.partition("Resources:")[2]
    return {verb: int(count) for count, verb in re.findall(r"^\s+[-+~]*\s*(\d+) (\w+)", below, re.MULTILINE)}
