"""What a person sees: terminal, Markdown, HTML; and the JSON documents beside them."""
