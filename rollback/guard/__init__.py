"""The guard: a function that takes the standby when an alarm goes off."""
