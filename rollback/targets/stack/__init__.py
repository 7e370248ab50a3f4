"""The target `stack`: a Pulumi stack at a commit."""
