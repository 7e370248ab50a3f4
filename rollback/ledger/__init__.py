"""The deployments table and the audit bucket: records, leases, chains."""
