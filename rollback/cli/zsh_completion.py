"""Completion in zsh at the first press of the tab key.

typer's script for zsh is loaded at the first press, and only completes from the second one on. What other tools do
(cobra, clap): a script that was loaded so completes at once
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
    """Has typer install and show the script that completes at once; its own where a later typer has it elsewhere."""
    with suppress(ImportError, AttributeError, KeyError):
        from typer import _completion_shared as shared  # noqa: PLC0415 - for two options alone

        script = shared._completion_scripts["zsh"]  # noqa: SLF001 - typer offers no way in
        if "funcstack" not in script:
            shared._completion_scripts["zsh"] = script + _AT_ONCE  # noqa: SLF001 - as above
