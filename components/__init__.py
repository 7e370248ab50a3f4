"""What an environment needs on AWS and on GitHub so that a release can be put back, declared.

Each component is one module: a frozen `…Args` beside a `ComponentResource`. Nothing here imports
`rollback/`; the names both need come from `naming`.
"""
