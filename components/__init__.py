"""What an environment needs on AWS and on GitHub so that a release can be rolled back, declared with Pulumi.

Each component is one module: a frozen `…Args` beside a `ComponentResource`. `environment` wires
them. Nothing here imports `rollback/` but `rollback.config`, which has the names that both need, and its errors.
"""
