"""The Pulumi engine and its Python language host, where no official ones are installed."""
