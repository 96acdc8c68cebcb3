"""What every preview and update is judged by: a Pulumi policy pack. Nothing of infra or payloads is imported here."""
