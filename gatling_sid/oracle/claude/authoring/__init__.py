"""Claude writes data of the catalogue, our own code proves each candidate, and the embedded oracle uses it in traces.

One answer costs a fraction of a cent and gives a phrasing, a scenario or a rule that thousands of traces use.
"""
