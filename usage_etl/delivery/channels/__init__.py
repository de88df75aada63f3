"""What alerts are sent through: one module for each kind of channel, all told by the same interface."""
