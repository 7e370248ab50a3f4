"""Rehearsed rollbacks: something is deployed bad on purpose, rolled back with the product's own verbs, and
measured.
"""
