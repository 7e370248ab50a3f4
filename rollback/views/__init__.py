"""What a person sees: terminal, Markdown, HTML."""
