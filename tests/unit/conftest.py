"""What holds for all unit tests."""

from __future__ import annotations

from hypothesis import settings

# A loaded machine is no bug: an example may take as long as it takes.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
