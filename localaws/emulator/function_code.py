"""Teaches the emulator where the code of a published version is: it tells that of the newest code for all.

GetFunction answers with the place of the code of exactly the version, or of the one that the alias stands at.
Runs inside the emulator's process; imports nothing of this project.

https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html
"""

from __future__ import annotations

import importlib
import json
from typing import Any

# What a function's name never has.
_SEPARATOR = ":"


def install() -> None:
    """Puts the better answers in place, in this process.

    Raises AttributeError where a newer emulator has moved what is replaced.
    """
    functions: Any = importlib.import_module("ministack.services.lambda_svc")
    get, serve = functions._get_function, functions.serve_function_code  # noqa: SLF001 - no other way in

    def get_alias(name: str, qualifier: str | None = None) -> Any:
        answer = get(name, qualifier)
        if answer[0] != 200 or not qualifier or qualifier == "$LATEST":  # noqa: PLR2004 - HTTP
            return answer
        document = json.loads(answer[2])
        place = document["Code"].get("Location", "")
        before, _, after = place.partition("?")
        document["Code"]["Location"] = f"{before}{_SEPARATOR}{qualifier}?{after}"
        return answer[0], answer[1], json.dumps(document).encode()

    def served(name: str, account_id: str | None = None, region: str | None = None) -> Any:
        plain, _, qualifier = name.partition(_SEPARATOR)
        if not qualifier:
            return serve(name, account_id=account_id, region=region)
        found = functions._functions.get_scoped(account_id, region, plain) or {}  # noqa: SLF001
        version = found.get("aliases", {}).get(qualifier, {}).get("FunctionVersion", qualifier)
        kept = found.get("versions", {}).get(version, {}).get("code_zip")
        if not kept:
            return 404, {"Content-Type": "text/plain"}, b"Version not found"
        return 200, {"Content-Type": "application/zip"}, kept

    functions._get_function = get_alias  # noqa: SLF001
    functions.serve_function_code = served
