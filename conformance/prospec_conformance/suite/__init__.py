"""The checks: a test a requirement, each run for every place that the requirement speaks of.

A test's first line is the requirement in the documentation's sense; which one it judges is in its mark.
"""
