"""prospec_conformance: judges any implementation of the API over HTTP, and the mock that it is proven on.

Importing this package loads nothing else.
"""
