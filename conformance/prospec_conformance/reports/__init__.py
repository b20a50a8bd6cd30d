"""The files of a report, each a pure function of the document that `report.document` makes.

Nothing in that document is a secret, and everything in it may have come from a hostile server: each module escapes it
for its own format. Here live no I/O and no judgement.
"""
