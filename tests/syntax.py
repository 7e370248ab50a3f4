"""The syntax trees of modules, for tests that read code."""

from __future__ import annotations

import ast
import gc


def parsed(text: str) -> ast.Module:
    """As `ast.parse`, while nothing is collected: in Python 3.11 another thread's parsing, which may begin in between,
    would disturb it (https://github.com/python/cpython/issues/106905).
    """
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        gc.enable()
