"""Stage: the institutions' transfers in time order.

Not browsable: only a trace rooted in a case reads them.
"""
