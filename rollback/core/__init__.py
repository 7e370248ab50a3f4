"""Helpers that know nothing of rollbacks: errors, canonical JSON, clocks, safe text and YAML, files,
processes.
"""
