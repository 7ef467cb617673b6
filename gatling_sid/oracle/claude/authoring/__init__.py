"""The hybrid: Claude writes catalogue data, the machinery proves each piece, the embedded oracle instantiates it.

What costs a fraction of a cent is said, asked or forbidden in thousands of traces.
"""
