"""The AWS account itself: ministack on loopback, in its own tool environment."""
