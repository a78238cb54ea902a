"""A supervisor's part in a call: actions, the rules that refuse them, the hold on the caller."""
