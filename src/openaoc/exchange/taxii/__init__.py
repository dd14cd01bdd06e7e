"""Exchange, TAXII 2.1: collections as views through an agreement, served and polled.

A collection holds the bytes that one partner may read, and nothing else.
"""
