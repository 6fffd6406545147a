"""Definitions of the recipes, one module per group."""
