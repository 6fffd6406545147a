"""Statistics of a study: functions of numbers, independent of studies."""
