"""The head-to-head: many trained systems on the same cases, one table, paired statistics."""
