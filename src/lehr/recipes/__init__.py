"""Published experiments and ready tasks, as data and small builders."""
