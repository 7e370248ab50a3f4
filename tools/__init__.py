"""Tools that set up and check this repository."""
