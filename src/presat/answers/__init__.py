"""Answers as text: where a response states one, and one way to write it. Nothing here knows what is right."""
