"""The verbs: the functions that the table in `rollback.cli.app` names, one module for verbs that belong
together.
"""
