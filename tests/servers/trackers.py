"""Real ticket servers, each behind a `Front`: Roundup inside this process, RT 5 as a program."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import ClassVar, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import httpx

from tests.servers import need
from tests.servers.front import Front
from tests.servers.vendors import Kept


def free_port() -> int:
    """A port on loopback that nobody has now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """Tests are quiet."""


class Roundup:
    """A Roundup 2 tracker with SQLite; `front` is what the world sees of it."""

    preset = "roundup"
    user, token = "admin", "s3cret-of-the-test"
    values: ClassVar[dict[str, str]] = {}

    def __init__(self, front: Front) -> None:
        self.front = front
        self._folder = Path(tempfile.mkdtemp(prefix="roundup-"))

    def __enter__(self) -> Self:
        home = self._folder / "tracker"
        told = {"admin_email": "admin@example.com", "mailhost": "localhost"}
        told |= {"mail_domain": "example.com", "tracker_web": self.front.url}
        config = ",".join(f"{name}={value}" for name, value in told.items())
        self._admin(home, "install", "classic", "sqlite", config)
        settings = home / "config.ini"
        # Every request logs in, and good hashing takes its time.
        slow, quick = (f"password_pbkdf2_default_rounds = {n}" for n in (250000, 1000))
        settings.write_text(settings.read_text().replace(slow, quick))
        self._admin(home, "initialise", self.token)
        # What it mails to those who watch an issue goes to a file.
        os.environ["SENDMAILDEBUG"] = str(self._folder / "mail.log")
        from roundup.cgi.wsgi_handler import RequestDispatcher  # noqa: PLC0415 - slow to import

        self._server = make_server("127.0.0.1", 0, RequestDispatcher(str(home)), _Threads, _Quiet)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{self._server.server_port}"
        self._client = httpx.Client(base_url=url, auth=(self.user, self.token))
        self.front.forward_to(url)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        os.environ.pop("SENDMAILDEBUG", None)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _admin(self, home: Path, *command: str) -> None:
        program = Path(sys.executable).parent / "roundup-admin"
        subprocess.run([program, "-i", home, *command], check=True, capture_output=True)

    def _get(self, path: str) -> dict:
        answer = self._client.get(f"/rest/data/{path}", headers={"X-Requested-With": "rest"})
        return answer.raise_for_status().json()["data"]

    def kept(self, external_id: str) -> list[Kept]:
        """The tickets of an incident."""
        found = []
        for hit in self._get(f"issue?title={external_id}")["collection"]:
            issue = self._get(f"issue/{hit['id']}")["attributes"]
            ids = sorted(int(message["id"]) for message in issue["messages"])
            texts = [self._get(f"msg/{n}?@verbose=3")["attributes"]["content"] for n in ids]
            one = Kept(int(hit["id"]), external_id, issue["title"], texts[0], texts[1:])
            one.resolved = self._get(f"status/{issue['status']['id']}")["attributes"]["name"] == (
                "resolved"
            )
            found.append(one)
        return found

    def resolve(self, external_id: str) -> None:
        """Those who work there are done with it."""
        origin = self.front.url.rstrip("/")
        headers = {"X-Requested-With": "rest", "Origin": origin, "Referer": self.front.url}
        headers["Host"] = f"127.0.0.1:{self.front.port}"
        for one in self.kept(external_id):
            path = f"/rest/data/issue/{one.number}"
            etag = self._get(f"issue/{one.number}")["@etag"]
            body = {"status": "resolved", "@etag": etag}
            self._client.put(path, json=body, headers=headers).raise_for_status()


class RealRequestTracker:
    """A Request Tracker 5 with SQLite, from Debian's packages."""

    preset = "request_tracker"
    user, token = "root", "password"
    values: ClassVar[dict[str, str]] = {}

    def __init__(self, front: Front) -> None:
        self.front = front
        package = "request-tracker5 rt5-db-sqlite"
        self._program = need("/usr/share/request-tracker5/libexec/rt-server", package)
        self._folder = Path(tempfile.mkdtemp(prefix="rt-"))
        self._port = free_port()

    def __enter__(self) -> Self:
        for below in ("site.d", "var"):
            (self._folder / below).mkdir()
        settings = {
            "rtname": "triage-test",
            "Organization": "example.com",
            "DatabaseType": "SQLite",
            "DatabaseName": f"{self._folder}/var/rt.sqlite3",
            "WebDomain": "127.0.0.1",
            "WebPort": str(self.front.port),
            "WebPath": "",
            "WebBaseURL": self.front.url.rstrip("/"),
            "MailCommand": "testfile",
            "BcryptCost": "4",
            "WebSessionClass": "Apache::Session::File",
            "MasonSessionDir": f"{self._folder}/var",
        }
        lines = [f"Set(${name}, '{value}');" for name, value in settings.items()]
        config = self._folder / "RT_SiteConfig.pm"
        config.write_text("\n".join([*lines, "Set($LogToSyslog, undef);", "1;", ""]))
        env = {**os.environ, "RT_SITE_CONFIG": str(config)}
        env["RT_SITE_CONFIG_DIR"] = str(self._folder / "site.d")
        setup = ["/usr/sbin/rt-setup-database-5", "--action", "init", "--skip-create"]
        subprocess.run(setup, check=True, capture_output=True, env=env)
        at = ["--host", "127.0.0.1", "--port", str(self._port), "--max-workers", "2"]
        with (self._folder / "log").open("wb") as log:
            command = [self._program, "--server", "Starlet", *at]
            self._process = subprocess.Popen(
                command, env=env, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + 300
        while not self._answers():
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError((self._folder / "log").read_text())
            time.sleep(0.1)
        url = f"http://127.0.0.1:{self._port}"
        self._client = httpx.Client(base_url=url, auth=(self.user, self.token), timeout=60)
        self.front.forward_to(url)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            return bool(httpx.get(f"http://127.0.0.1:{self._port}/REST/2.0/rt", timeout=60))
        except httpx.HTTPError:
            return False

    def _get(self, path: str) -> httpx.Response:
        return self._client.get(f"/REST/2.0/{path}").raise_for_status()

    def kept(self, external_id: str) -> list[Kept]:
        """The tickets of an incident."""
        query = f"tickets?query=Subject LIKE '{external_id}'&fields=Subject,Status"
        return [self._ticket(hit, external_id) for hit in self._get(query).json()["items"]]

    def resolve(self, external_id: str) -> None:
        """Those who work there are done with it."""
        for one in self.kept(external_id):
            path = f"/REST/2.0/ticket/{one.number}"
            self._client.put(path, json={"Status": "resolved"}).raise_for_status()

    def _ticket(self, hit: dict, external_id: str) -> Kept:
        texts: dict[str, list[str]] = {"Create": [], "Comment": []}
        history = self._get(f"ticket/{hit['id']}/history?fields=Type&per_page=100").json()
        for one in history["items"]:
            if one["Type"] not in texts:
                continue
            parts = self._get(f"transaction/{one['id']}/attachments").json()["items"]
            for part in parts:
                whole = self._get(f"attachment/{part['id']}").json()
                texts[one["Type"]].append(_content(whole))
        (text,) = texts["Create"]
        one = Kept(int(hit["id"]), external_id, hit["Subject"], text, texts["Comment"])
        one.resolved = hit["Status"] == "resolved"
        return one


def _content(attachment: dict) -> str:
    return base64.b64decode(attachment["Content"]).decode()
