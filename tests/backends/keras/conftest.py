"""These cases run once per Keras backend, in a process of its own: see ../test_keras.py."""

import os

collect_ignore_glob = [] if "LEHR_KERAS_CASES" in os.environ else ["*.py"]
