"""Which functions an environment has: proposed from what its account has, and written down after a person's yes."""
