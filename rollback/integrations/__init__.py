"""What is driven from outside: Pulumi, Terraform, git, GitHub Actions, Slack."""
