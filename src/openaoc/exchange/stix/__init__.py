"""Exchange, STIX 2.1: what is released in the words other tools read, and theirs in ours.

Answers how an object is written and read. Never decides what may leave.
"""
