"""The published experiments, one list for each part of a source."""
