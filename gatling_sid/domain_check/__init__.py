"""What the author of a domain file learns about it: its problems, what its traces look like, and what is missing."""
