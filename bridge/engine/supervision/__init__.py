"""A supervisor's part in a call: orders, the rules that refuse them, the hold on the caller."""
