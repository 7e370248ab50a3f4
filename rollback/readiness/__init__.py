"""`rollback can`: whether a change could be rolled back."""
