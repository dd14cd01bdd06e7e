"""Words every stage uses: ids, money, time, errors, limits, settings, identifiers.

Never imports another stage.
"""
