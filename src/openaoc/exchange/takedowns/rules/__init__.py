"""Take-downs: the rule data: clocks by target, and hosts that many share."""
