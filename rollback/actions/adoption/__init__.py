"""What exists already, taken over by the stack."""
