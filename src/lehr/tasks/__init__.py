"""Built-in tasks, their data, and lookup of ``module:function``."""
