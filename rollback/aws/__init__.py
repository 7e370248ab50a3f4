"""One AWS account: clients, identity, the pace of calls, and what Lambda tells."""
