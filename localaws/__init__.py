"""A whole AWS account on this machine, for the demo and the tests: nothing in the product imports it."""
