"""The output: terminal, Markdown, HTML and JSON documents."""
