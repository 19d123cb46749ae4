"""Judging progress readings and runs: metrics and reports."""
