"""Engines: run the jobs of a study, for instance in local worker processes."""
