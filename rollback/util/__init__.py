"""General helpers: errors, canonical JSON, clocks, safe text and YAML, files,
processes.
"""
