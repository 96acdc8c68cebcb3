"""One comment that says what a change would do: read previews, weigh them, write Markdown."""
