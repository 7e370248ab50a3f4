"""The ledger: the deployments table with its records, timeline and leases, and the archive bucket."""
