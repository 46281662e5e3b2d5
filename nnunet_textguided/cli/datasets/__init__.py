"""The options of each data set that `convert` knows."""
