"""`python -m demo`: the whole story on a local account, each claim checked as it is made."""
