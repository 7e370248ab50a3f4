"""The target `aliases`: Lambda aliases of a release."""
