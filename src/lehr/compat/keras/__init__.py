"""Drop-in replacements of Keras's learning-rate schedules and callbacks, on its three backends."""
