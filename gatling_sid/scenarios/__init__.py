"""What the catalogue's scenarios mean in a simulated world, and how people ask for them; oracle and validators read it."""
