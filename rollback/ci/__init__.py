"""The steps of CI jobs, on GitHub and GitLab."""
