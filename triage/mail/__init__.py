"""Octets to Mail to Notifications. Pure: no I/O, no clock."""
