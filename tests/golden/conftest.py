"""Only test_golden.py is collected: the other modules run in processes of their own."""

collect_ignore_glob = ["record.py", "cases_*.py", "golden_*.py"]
