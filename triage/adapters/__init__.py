"""The outside world: IMAP, files, SMTP, HTTP, the database."""
