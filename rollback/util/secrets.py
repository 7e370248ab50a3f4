"""Masks secrets in texts: the values of secret environment variables, and what looks like a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

MASK = "***"
# Names of variables with secrets: AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, PULUMI_CONFIG_PASSPHRASE,
# PULUMI_ACCESS_TOKEN, ACTIONS_ID_TOKEN_REQUEST_TOKEN, SLACK_BOT_TOKEN, TF_VAR_db_password …
_NAMED = re.compile(r"SECRET|TOKEN|PASSW|PASSPHRASE|PRIVATE|CREDENTIAL|API_?KEY|AUTH$|COOKIE", re.IGNORECASE)
# In characters: shorter values would mask ordinary words.
_SHORTEST = 6
_LOOKS = re.compile(
    # AWS's access key ids and session tokens; JSON web tokens; GitHub's, GitLab's and Slack's tokens.
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\b(?:IQoJ|FwoG)[A-Za-z0-9+/=_-]{50,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abposr]-|pul-)[A-Za-z0-9_-]{10,}"
    # user:password@ in a URL.
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    # NAME=value and "name": "value".
    r"|(?i:(?<=secret=)|(?<=token=)|(?<=password=)|(?<=passphrase=))[^\s&\"',;]+"
)


def masker(variables: Mapping[str, str]) -> Callable[[str], str]:
    """Returns a function that masks the secrets of `variables`, and what looks like a secret, in a text."""
    values = {value for name, value in variables.items() if _NAMED.search(name) and len(value) >= _SHORTEST}
    # The longest first, because one may contain another.
    known = "|".join(map(re.escape, sorted(values, key=len, reverse=True)))
    pattern = re.compile(f"{known}|{_LOOKS.pattern}" if known else _LOOKS.pattern)
    return lambda text: pattern.sub(MASK, text)
