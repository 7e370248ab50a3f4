"""The targets `table` and `cutover`: a DynamoDB table at a point in time."""
