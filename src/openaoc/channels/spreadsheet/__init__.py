"""Channels: the spreadsheets of institutions: orders out, answers and onward money in."""
