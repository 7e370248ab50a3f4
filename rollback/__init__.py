"""Puts a release back: one flow of plan, approval, lease, execution, verification and record."""
