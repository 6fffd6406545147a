"""Statistical tests of scores, independent of the other modules of studies."""
