"""The target `terraform`: a Terraform configuration at a commit."""
