"""Verdict to Incident to Decision. Pure: `now` comes in as an argument."""
