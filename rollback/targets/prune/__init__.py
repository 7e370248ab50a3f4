"""The target `prune`: versions of functions that nothing needs any more."""
