"""Setting up: settings of a new environment, its catalogue, adopted resources, logins, and the engine."""
