"""What the service needs of the outside world. `triage.adapters` implements it."""

from triage.ports.clock import Clock, Stop
from triage.ports.mailbox import FolderState, Mailbox, MailboxError
from triage.ports.sender import Fault, Sender, SendError
from triage.ports.store import LeaseLost, RowRefusedError, Store, StoreError, Unit

__all__ = [
    "Clock",
    "Fault",
    "FolderState",
    "LeaseLost",
    "Mailbox",
    "MailboxError",
    "RowRefusedError",
    "SendError",
    "Sender",
    "Stop",
    "Store",
    "StoreError",
    "Unit",
]
