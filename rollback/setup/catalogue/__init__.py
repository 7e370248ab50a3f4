"""The catalogue of an environment's functions: proposed from its account, and written after a confirmation."""
