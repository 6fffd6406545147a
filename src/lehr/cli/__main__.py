"""``python -m lehr.cli``."""

from lehr.cli import main

main()
