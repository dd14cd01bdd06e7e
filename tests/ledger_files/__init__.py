"""Tests of reading transfers and accounts from files, and of cold segments."""
