"""`python -m demo`: a demonstration on a local account; every claim is checked when it is shown."""
