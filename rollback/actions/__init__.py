"""The use cases: roll back, record a release, status, history, audit, and more."""
