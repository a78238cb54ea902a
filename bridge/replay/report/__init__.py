"""The comparison report: results of `bridge replay` as one HTML file that needs nothing else."""

from bridge.replay.report.writing import write_report

__all__ = ["write_report"]
