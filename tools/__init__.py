"""What sets up and checks this repository."""
