"""A process that makes clients spends most of its time on reading the services' models: here each is read once."""

from __future__ import annotations

import functools

from botocore.loaders import JSONFileLoader


def read_models_once() -> None:
    """From here on, for all of this process's clients."""
    read = functools.cache(JSONFileLoader().load_file)
    JSONFileLoader.load_file = lambda _, path: read(path)
