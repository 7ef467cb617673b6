"""What the catalogue's scenarios mean in a simulated world and how people ask for it; used by oracle and validators."""
