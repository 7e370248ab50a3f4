"""Messages about rollbacks: to Slack, and to an EventBridge bus."""
