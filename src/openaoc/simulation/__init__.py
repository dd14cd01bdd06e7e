"""A nation with banks, shops, victims, mules and a clock, to try the centre on."""
