"""The caller's consent: the disclosure, the question, and its answer, before an agent listens."""
