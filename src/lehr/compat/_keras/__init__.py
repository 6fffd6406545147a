"""Keras 3 schedules of other libraries: the class and the cycles that their modules share."""
