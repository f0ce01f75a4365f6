"""``crproxy doctor``: looks at everything that a pull depends on, and names what is wrong and what to do.

Each module looks at one thing and returns findings; none of them knows how they are shown.
"""
