"""The use cases: roll back, record a release, quarantine, approve, status, history, audit, and more."""
