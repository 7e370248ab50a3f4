"""Programs and services that this tool uses: Pulumi, Terraform, git, GitHub Actions, GitLab CI, Slack."""
