"""Errors by their code, which stays when their words change.

    with pytest.raises(Refused, check=coded(Code.FROZEN)):
        …

`match=` beside it is for what the code does not tell: a name, a number, which of several reasons.
"""

from __future__ import annotations

from collections.abc import Callable

from rollback.util.errors import Code, RollbackError


def coded(code: Code) -> Callable[[RollbackError], bool]:
    """For `pytest.raises(…, check=)`: the error has this code."""

    def check(error: RollbackError) -> bool:
        assert error.code is code, f"{error.code} and not {code}: {error.what}"
        return True

    return check
