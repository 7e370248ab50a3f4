"""What is deployed, what happened, and whether the ledger is intact: reads only."""
