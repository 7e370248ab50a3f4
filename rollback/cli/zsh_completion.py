"""Completion in zsh at the first press of the tab key.

typer's script for zsh is only loaded at the first press, and completes from the second one on. Other tools
(cobra, clap): complete at the first press, too
(https://zsh.sourceforge.io/Doc/Release/Completion-System.html#Autoloaded-files).
"""

from __future__ import annotations

from contextlib import suppress

_AT_ONCE = """
if [ "$funcstack[1]" = "_%(prog_name)s" ]; then
  %(complete_func)s "$@"
fi
"""


def mend() -> None:
    """Replaces typer's zsh script by one that completes at once; does nothing where a later typer keeps it elsewhere."""
    with suppress(ImportError, AttributeError, KeyError):
        from typer import _completion_shared as shared  # noqa: PLC0415 - for two options alone

        script = shared._completion_scripts["zsh"]  # noqa: SLF001 - typer offers no way in
        if "funcstack" not in script:
            shared._completion_scripts["zsh"] = script + _AT_ONCE  # noqa: SLF001 - as above
