"""How the stack imports resources that already exist."""
