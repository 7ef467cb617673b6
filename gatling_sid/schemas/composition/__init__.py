"""Composes tasks from the parts of a domain file: which rows, what is done with them, and in which sentences."""
