"""Published experiments as data, built on studies."""
