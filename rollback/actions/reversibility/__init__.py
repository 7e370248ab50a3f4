"""Whether a change could be rolled back."""
