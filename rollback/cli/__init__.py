"""The console script `rollback`: verbs, options, exit codes."""
