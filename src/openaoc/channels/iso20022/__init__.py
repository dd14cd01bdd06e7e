"""Channels: ISO 20022 messages: holds out as camt.056, answers in as camt.029 and pacs.004."""
