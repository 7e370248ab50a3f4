"""Rehearsed rollbacks: something is made bad on purpose, put back with the product's own verbs, and measured."""
