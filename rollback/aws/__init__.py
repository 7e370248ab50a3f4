"""One AWS account: clients, identity, clock check, rate limits, and reads of Lambda functions."""
