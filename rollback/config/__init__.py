"""Settings and names of an environment."""
