"""The Pulumi engine, its Python language host, Terraform and its AWS provider, for machines without them."""
