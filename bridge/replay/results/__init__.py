"""The results of a run on disk, and their history, statistics and JUnit form."""
