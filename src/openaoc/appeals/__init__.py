"""Appeals: was a hold right? Contests by holders, reviews by the centre, and what is made good.

Never looks for who is guilty; a decision on a contest is a person's.
"""
