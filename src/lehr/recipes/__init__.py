"""Recipes: published experiments defined as data and run as studies."""
