"""Claude writes data of the catalogue, our own code proves each candidate, and the embedded oracle makes traces of it.

One answer that costs a fraction of a cent gives a phrasing, a scenario or a rule that thousands of traces use.
"""
