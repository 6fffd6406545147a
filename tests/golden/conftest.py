"""Collect only test_golden.py; the other modules run in separate processes."""

collect_ignore_glob = ["record.py", "cases_*.py", "golden_*.py"]
