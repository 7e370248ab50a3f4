"""The Pulumi engine, its Python language host, Terraform and its AWS provider, where none are installed."""
