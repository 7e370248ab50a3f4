"""The target `prune`: published versions that are no longer needed."""
