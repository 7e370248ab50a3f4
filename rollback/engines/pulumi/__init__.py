"""The Pulumi engine, driven through the Automation API: a stack's history, its state, and a commit's program."""
