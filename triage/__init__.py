"""Triage reads a shared support inbox and acts on the notifications of one integration."""
