"""A throw-away PostgreSQL on a free port, as root or as a normal user."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from tests.servers import need

PASSWORD = "opensesame"


class Postgres:
    """`with Postgres() as server:` a cluster without fsync; `server.database()` is the URL of a new
    empty database in it."""

    def __init__(self) -> None:
        self._programs = Path(need("/usr/lib/postgresql/*/bin/initdb", "postgresql")).parent
        self._databases = 0
        # PostgreSQL refuses to run as root.
        self._user = pwd.getpwnam("postgres") if os.getuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def __enter__(self) -> Self:
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        if self._user:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
            os.chown(secret, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "--no-sync", "--username=postgres", "--auth=scram-sha-256",
                  f"--pwfile={secret}", "--encoding=UTF8", "--locale=C")  # fmt: skip
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Answer when it takes connections."""
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run(
            "pg_ctl", "-w", "-t", "60", "-l", str(self._folder / "log"), "-o", options, "start"
        )

    def stop(self) -> None:
        """Die as in a power cut; nothing happens if it is dead already."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop", check=False)

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        """The URL of a database as `[store] url` has it."""
        return f"postgresql+psycopg://postgres:{password}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """Make an empty database; answers its URL."""
        self._databases += 1
        name = f"triage_{self._databases}"
        address = self.url().replace("+psycopg", "")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        # A file and not a pipe: the server that pg_ctl leaves behind would keep the pipe open.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [self._programs / program, "-D", self._folder / "data", *arguments],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                check=False,
            )
            output.seek(0)
            if check and done.returncode:
                raise RuntimeError(f"{program}: {output.read().decode(errors='replace')}")
