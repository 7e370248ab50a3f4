"""The target `full`: aliases, stack and Terraform under one plan."""
