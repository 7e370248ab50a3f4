"""The Python API: what the command does, a script does. `from rollback import Environment`."""
