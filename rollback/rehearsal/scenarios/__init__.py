"""The scenarios of drills, one module each."""
