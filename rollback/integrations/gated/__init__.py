"""Commands that are started behind a gate: their pid is known before they act.

Nothing outside this package is imported here but the Pulumi SDK, so that it could be a distribution of its own.
"""
