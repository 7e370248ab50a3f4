"""Drills: a deliberately bad release is deployed, rolled back with the normal commands, and
measured.
"""
