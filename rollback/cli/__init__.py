"""The command line `rollback`: verbs, options, exit codes."""
