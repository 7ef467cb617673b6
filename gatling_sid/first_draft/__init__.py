"""Makes the first draft of a domain file from its entities: tools, phrases, rules, roles and parts in rough words."""
