"""A Dovecot of the test's own: temporary folder, free ports, as root or as anybody.

Any user logs in with the password `pw`; with `introspect` the token is the password.
"""

from __future__ import annotations

import getpass
import grp
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from imapclient import IMAPClient

from tests.servers import need
from tests.servers.certificates import make_certificate

PASSWORD = "pw"
_START_SECONDS = 60.0


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Dovecot:
    """`with Dovecot() as server`: then `port` speaks clear text and STARTTLS, `tls_port` TLS."""

    def __init__(
        self,
        *,
        layout: str = "sdbox",
        capability: str = "",
        prefix: str = "",
        separator: str = "",
        introspect: str = "",
        certificate_days: int = 2,
        certificate_names: str = "DNS:localhost,IP:127.0.0.1",
    ) -> None:
        self._program = need("dovecot", "dovecot-imapd")
        self.folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self.folder.chmod(0o755)
        self.port, self.tls_port = free_port(), free_port()
        self.certificate = make_certificate(
            self.folder, days=certificate_days, names=certificate_names
        )
        self._mails = self.folder / "mail"
        self._mails.mkdir()
        self._layout, self._capability = layout, capability
        self._prefix, self._separator = prefix, separator
        self._introspect = introspect
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        (self.folder / "dovecot.conf").write_text(self._configuration())
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        with (self.folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [self._program, "-F", "-c", str(self.folder / "dovecot.conf")],
                stderr=stderr,
                start_new_session=True,
            )
        ends = time.monotonic() + _START_SECONDS
        while time.monotonic() < ends and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        self.stop()
        raise RuntimeError(self.log())

    def stop(self) -> None:
        """Stop it and all its connections."""
        if self._process is not None:
            # The whole group: the main process alone lets idle connections live for 10 s.
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None

    def freeze(self, number: signal.Signals) -> None:
        """SIGSTOP: it keeps its connections and says nothing any more, until SIGCONT."""
        if self._process is not None:
            os.killpg(self._process.pid, number)

    def log(self) -> str:
        """What it wrote."""
        files = (self.folder / "stderr", self.folder / "log")
        return "".join(file.read_text() for file in files if file.exists())

    def jump_to_uid(self, user: str, folder: str, uid: int) -> None:
        """The next mail of that folder gets at least this UID."""
        doveadm = [need("doveadm", "dovecot-imapd"), "-c", str(self.folder / "dovecot.conf")]
        update = ["mailbox", "update", "-u", user, "--min-next-uid", str(uid), folder]
        subprocess.run([*doveadm, *update], check=True, capture_output=True)

    def trust(self) -> ssl.SSLContext:
        """A context that trusts its certificate."""
        return ssl.create_default_context(cafile=str(self.certificate.cert))

    def client(self, user: str = "errors") -> IMAPClient:
        """Another program on the same mailbox."""
        client = IMAPClient("127.0.0.1", self.port, ssl=False, timeout=60)
        client.login(user, PASSWORD)
        return client

    def _configuration(self) -> str:
        """In the words of Dovecot 2.3."""
        root = os.getuid() == 0
        owner = pwd.getpwnam("nobody" if root else getpass.getuser())
        group = grp.getgrgid(owner.pw_gid).gr_name
        if root:
            os.chown(self._mails, owner.pw_uid, owner.pw_gid)
        chroot = "" if root else "chroot ="
        users = f"""
            default_login_user = {owner.pw_name}
            default_internal_user = {owner.pw_name}
            default_internal_group = {group}
            """
        return f"""
            base_dir = {self.folder}/run
            state_dir = {self.folder}/run
            log_path = {self.folder}/log
            protocols = imap
            listen = 127.0.0.1
            {"" if root else users}
            first_valid_uid = 1
            first_valid_gid = 1
            mail_location = {self._layout}:{self._mails}/%u
            mail_fsync = never
            mail_max_userip_connections = 200
            auth_failure_delay = 0
            auth_username_chars =
            ssl = yes
            ssl_cert = <{self.certificate.cert}
            ssl_key = <{self.certificate.key}
            disable_plaintext_auth = no
            auth_mechanisms = plain login{" xoauth2 oauthbearer" if self._introspect else ""}
            {self._passdb()}
            userdb {{
              driver = static
              args = uid={owner.pw_uid} gid={owner.pw_gid} home={self._mails}/%u
            }}
            protocol imap {{
              {f"imap_capability = {self._capability}" if self._capability else ""}
            }}
            service imap-login {{
              {chroot}
              process_min_avail = 1
              service_count = 0
              inet_listener imap {{
                port = {self.port}
              }}
              inet_listener imaps {{
                port = {self.tls_port}
                ssl = yes
              }}
            }}
            service anvil {{
              {chroot}
            }}
            service stats {{
              {chroot}
            }}
            namespace inbox {{
              inbox = yes
              {f"prefix = {self._prefix}" if self._prefix else ""}
              {f"separator = {self._separator}" if self._separator else ""}
            }}
            """

    def _passdb(self) -> str:
        static = f"""
            passdb {{
              driver = static
              args = password={PASSWORD}
            }}
            """
        if not self._introspect:
            return static
        (self.folder / "oauth2.conf").write_text(
            f"introspection_mode = post\nintrospection_url = {self._introspect}\n"
            "username_attribute = username\nactive_attribute = active\nactive_value = true\n"
        )
        tokens = f"""
            passdb {{
              driver = oauth2
              mechanisms = xoauth2 oauthbearer
              args = {self.folder}/oauth2.conf
            }}
            """
        return tokens + static.replace("driver", "mechanisms = plain login\n driver")
