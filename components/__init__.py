"""The resources on AWS and on GitHub that rollbacks of an environment need, declared with Pulumi.

Each component is one module: a frozen `…Args` beside a `ComponentResource`. `environment` wires
them. From `rollback/` only `rollback.config`, which has the names that both need, and its errors are imported here.
"""
