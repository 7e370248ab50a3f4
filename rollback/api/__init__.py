"""The Python API: a script can do what the command does. `from rollback import Environment`."""
