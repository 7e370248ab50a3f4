"""Programs and services that are driven from here: Pulumi, Terraform, git, GitHub Actions, GitLab CI, Slack."""
