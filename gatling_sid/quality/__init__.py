"""How good the traces of a domain are: measures of texts, plans and policies, and the aims beside which they stand."""
