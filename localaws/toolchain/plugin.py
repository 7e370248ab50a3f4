"""What a plugin's process does before it imports anything of its own."""

from __future__ import annotations

import importlib.util
import sys


def only_the_protocol() -> None:
    """From here on `pulumi.runtime.proto` can be imported without the rest of the SDK.

    The engine starts three or four plugins a run, and the SDK would be half of their start. For plugins'
    processes only: anybody who imports `pulumi` afterwards finds an empty package.
    """
    for name in ("pulumi", "pulumi.runtime"):
        spec = importlib.util.find_spec(name)
        if spec is None:
            return  # anybody who imports the protocol is told
        sys.modules[name] = importlib.util.module_from_spec(spec)
