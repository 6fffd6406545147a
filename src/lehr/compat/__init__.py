"""Drop-in replacements: the names of other libraries, with values from lehr's algebra.

Each module has the names, signatures and conventions of one library, and is imported by itself:
``from lehr.compat.torch import OneCycleLR``. A library is imported only with its module.
Deliberate differences are listed in ``lehr.compat.differences``.
"""
