"""What holds for all unit tests."""

from __future__ import annotations

import signal

from hypothesis import settings

# A loaded machine is no bug: an example may take as long as it takes.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# A shell that runs the tests in the background has SIGINT ignored, which children inherit; those of these
# tests are to end by it.
signal.signal(signal.SIGINT, signal.default_int_handler)
