"""How the stack takes over resources that exist already."""
