"""triage.toml and the environment to Settings, with every fault named by its key.

The file is read here and nowhere else; secrets are read from their own files or environment
variables when an adapter asks for them, and never stand in a message.
"""

from triage.settings.load import Settings, load, load_in_part, shipped
from triage.settings.sections import ConfigurationError, MailboxSection, OAuth2Section, SmtpSection

__all__ = [
    "ConfigurationError",
    "MailboxSection",
    "OAuth2Section",
    "Settings",
    "SmtpSection",
    "load",
    "load_in_part",
    "shipped",
]
