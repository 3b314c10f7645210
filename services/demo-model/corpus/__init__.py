"""Synthetic dialogues of the demo model: English, Korean and Japanese.

Every dialogue is assembled from the templates and word lists in the JSON files beside this one and from random
values, so nothing is downloaded and no text of anybody is in it.
"""
