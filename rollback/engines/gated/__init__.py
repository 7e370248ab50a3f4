"""Commands started behind a gate, so that their pid is known before they act.

This package only imports the Pulumi SDK, so that it could be distributed separately.
"""
