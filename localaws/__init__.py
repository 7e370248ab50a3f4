"""A local AWS account on this machine, for the demo and the tests; the product does not import it."""
