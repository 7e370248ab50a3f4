"""A person's role: assumed with MFA, and kept on this machine until it expires."""
