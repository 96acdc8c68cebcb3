"""What would make an update fail half-way, asked before it starts."""
