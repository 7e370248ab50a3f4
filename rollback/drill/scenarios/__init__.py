"""What goes bad on purpose, one module a scenario."""
