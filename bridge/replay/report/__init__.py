"""The comparison report: results of `bridge replay` as one HTML file that needs nothing else."""
