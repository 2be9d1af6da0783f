"""Ticket systems that tests cannot install: they answer as the vendors' API documents show it.

The answers are the examples of those documents, with what was asked put in; the state behind them
is as simple as can be.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.servers.front import Answered, Asked


@dataclass
class Kept:
    """A ticket as a vendor keeps it."""

    number: int
    external_id: str
    title: str
    text: str
    comments: list[str] = field(default_factory=list)
    closed: bool = False


def _answer(status: int, body: object) -> Answered:
    return Answered(status, json.dumps(body).encode())


class Vendor(ABC):
    """What they have in common: a login, tickets, and three things that can be asked."""

    preset = ""
    user = ""
    token = "s3cret-of-the-test"
    login = ""
    values: ClassVar[dict[str, str]] = {}
    create = comment = search = ("", "")

    def __init__(self) -> None:
        self.tickets: list[Kept] = []
        self.headers: dict[str, str] = {}
        """Of the last request."""

    def __call__(self, asked: Asked) -> Answered:
        if asked.headers.get("authorization") != self.login:
            return _answer(401, {"message": f"not you: {asked.headers.get('authorization')}"})
        self.headers = asked.headers
        parts = urlsplit(asked.target)
        query = {name: words[0] for name, words in parse_qs(parts.query).items()}
        for way in ("search", "create", "comment"):
            method, pattern = getattr(self, way)
            found = re.fullmatch(pattern, parts.path)
            if found and method == asked.method:
                body = json.loads(asked.body) if asked.body else {}
                if way == "search":
                    return self.searched(query)
                if way == "create":
                    self.tickets.append(self.made(len(self.tickets) + 101, body))
                    return self.created(self.tickets[-1])
                ticket = next((t for t in self.tickets if str(t.number) in found[1]), None)
                if ticket is None:
                    return _answer(404, {"message": "Not Found"})
                return self.commented(ticket, body)
        return _answer(404, {"message": "Not Found"})

    def holding(self, words: str) -> list[Kept]:
        return [ticket for ticket in self.tickets if ticket.external_id in words]

    @abstractmethod
    def searched(self, query: dict[str, str]) -> Answered: ...

    @abstractmethod
    def made(self, number: int, body: Any) -> Kept: ...

    @abstractmethod
    def created(self, ticket: Kept) -> Answered: ...

    @abstractmethod
    def commented(self, ticket: Kept, body: Any) -> Answered: ...

    def kept(self, external_id: str) -> list[Kept]:
        """The tickets of an incident."""
        return [ticket for ticket in self.tickets if ticket.external_id == external_id]


class Zendesk(Vendor):
    """developer.zendesk.com: Ticketing API, Tickets (list by external_id, create, update)."""

    preset = "zendesk"
    user = "agent@example.com"
    login = "Basic YWdlbnRAZXhhbXBsZS5jb20vdG9rZW46czNjcmV0LW9mLXRoZS10ZXN0"
    search = ("GET", r"/api/v2/tickets\.json")
    create = ("POST", r"/api/v2/tickets\.json")
    comment = ("PUT", r"/api/v2/tickets/(\d+)\.json")

    def _shown(self, ticket: Kept) -> dict[str, object]:
        return {
            "id": ticket.number,
            "external_id": ticket.external_id,
            "subject": ticket.title,
            "status": "closed" if ticket.closed else "new",
            "url": f"https://example.zendesk.com/api/v2/tickets/{ticket.number}.json",
            "via": {"channel": "api"},
        }

    def searched(self, query: dict[str, str]) -> Answered:
        found = [self._shown(ticket) for ticket in self.holding(query["external_id"])]
        return _answer(200, {"tickets": found, "count": len(found), "next_page": None})

    def made(self, number: int, body: Any) -> Kept:
        ticket = body["ticket"]
        assert self.headers["idempotency-key"]
        assert ticket["comment"]["public"] is False
        assert ticket["priority"] in {"urgent", "high", "normal", "low"}
        return Kept(number, ticket["external_id"], ticket["subject"], ticket["comment"]["body"])

    def created(self, ticket: Kept) -> Answered:
        return _answer(201, {"ticket": self._shown(ticket), "audit": {"id": 35436}})

    def commented(self, ticket: Kept, body: Any) -> Answered:
        if ticket.closed:
            why = [{"description": "Status: closed prevents ticket update"}]
            return _answer(422, {"error": "RecordInvalid", "details": {"status": why}})
        assert body["ticket"]["comment"]["public"] is False
        ticket.comments.append(body["ticket"]["comment"]["body"])
        return _answer(200, {"ticket": self._shown(ticket), "audit": {"id": 35437}})


def _of_document(document: Any) -> str:
    """The text of an Atlassian document with one code block."""
    assert (document["type"], document["version"]) == ("doc", 1)
    (block,) = document["content"]
    assert block["type"] == "codeBlock"
    return block["content"][0]["text"]


class Jira(Vendor):
    """developer.atlassian.com: Jira Cloud REST API v3 (search/jql, create issue, add comment)."""

    preset = "jira"
    user = "agent@example.com"
    login = "Basic YWdlbnRAZXhhbXBsZS5jb206czNjcmV0LW9mLXRoZS10ZXN0"
    values: ClassVar = {"project": "SUP"}
    search = ("GET", r"/rest/api/3/search/jql")
    create = ("POST", r"/rest/api/3/issue")
    comment = ("POST", r"/rest/api/3/issue/(\d+)/comment")

    def searched(self, query: dict[str, str]) -> Answered:
        found = re.fullmatch(r'project = "SUP" AND labels = "(triage-[0-9a-f]{16})"', query["jql"])
        assert found
        assert query["fields"] == "labels"
        issues = [
            {
                "expand": "operations",
                "id": str(ticket.number),
                "key": f"SUP-{ticket.number}",
                "fields": {"labels": ["triage", ticket.external_id]},
            }
            for ticket in self.holding(found[1])
        ]
        return _answer(200, {"issues": issues, "isLast": True})

    def made(self, number: int, body: Any) -> Kept:
        fields = body["fields"]
        assert fields["project"] == {"key": "SUP"}
        assert fields["issuetype"] == {"name": "Task"}
        assert "\n" not in fields["summary"]
        text = _of_document(fields["description"])
        return Kept(number, fields["labels"][1], fields["summary"], text)

    def created(self, ticket: Kept) -> Answered:
        number = ticket.number
        where = f"https://example.atlassian.net/rest/api/3/issue/{number}"
        return _answer(201, {"id": str(number), "key": f"SUP-{number}", "self": where})

    def commented(self, ticket: Kept, body: Any) -> Answered:
        ticket.comments.append(_of_document(body["body"]))
        (internal,) = body["properties"]
        assert internal == {"key": "sd.public.comment", "value": {"internal": True}}
        return _answer(201, {"id": "10000", "body": body["body"]})


class ServiceNow(Vendor):
    """docs.servicenow.com: Table API (retrieve records, create, update)."""

    preset = "servicenow"
    user = "triage"
    login = "Basic dHJpYWdlOnMzY3JldC1vZi10aGUtdGVzdA=="
    search = ("GET", r"/api/now/table/incident")
    create = ("POST", r"/api/now/table/incident")
    comment = ("PATCH", r"/api/now/table/incident/a9e30c7dc61122760116894de7bcc7bd-(\d+)")

    def _shown(self, ticket: Kept) -> dict[str, str]:
        return {
            "sys_id": f"a9e30c7dc61122760116894de7bcc7bd-{ticket.number}",
            "number": f"INC{ticket.number:07}",
            "state": "7" if ticket.closed else "1",
            "correlation_id": ticket.external_id,
        }

    def searched(self, query: dict[str, str]) -> Answered:
        field_name, _, wanted = query["sysparm_query"].partition("=")
        assert field_name == "correlation_id"
        return _answer(200, {"result": [self._shown(t) for t in self.holding(wanted)]})

    def made(self, number: int, body: Any) -> Kept:
        assert len(body["short_description"]) <= 160
        assert {body["impact"], body["urgency"]} <= {"1", "2", "3"}
        return Kept(number, body["correlation_id"], body["short_description"], body["description"])

    def created(self, ticket: Kept) -> Answered:
        return _answer(201, {"result": self._shown(ticket)})

    def commented(self, ticket: Kept, body: Any) -> Answered:
        ticket.comments.append(body["work_notes"])
        return _answer(200, {"result": self._shown(ticket)})


class GitHub(Vendor):
    """docs.github.com: REST API 2022-11-28 (search issues, create an issue, create a comment)."""

    preset = "github"
    login = "Bearer s3cret-of-the-test"
    values: ClassVar = {"owner": "northwind", "repository": "support"}
    search = ("GET", r"/search/issues")
    create = ("POST", r"/repos/northwind/support/issues")
    comment = ("POST", r"/repos/northwind/support/issues/(\d+)/comments")

    def searched(self, query: dict[str, str]) -> Answered:
        terms = query["q"].split()
        assert terms[1:] == ["in:body", "is:issue", "repo:northwind/support"]
        # It searches for words, and finds what is only similar as well.
        found = [
            {"id": 1000 + t.number, "number": t.number, "state": "open", "body": t.text}
            for t in self.tickets[::-1]
        ]
        whole = {"total_count": len(found), "incomplete_results": False, "items": found[:10]}
        return _answer(200, whole)

    def made(self, number: int, body: Any) -> Kept:
        assert self.headers["x-github-api-version"] == "2022-11-28"
        found = re.search(r"\n```\n\n(triage-[0-9a-f]{16})$", body["body"])
        assert found
        return Kept(number, found[1], body["title"], body["body"])

    def created(self, ticket: Kept) -> Answered:
        where = f"https://api.github.com/repos/northwind/support/issues/{ticket.number}"
        shown = {"id": 1000 + ticket.number, "number": ticket.number, "url": where, "state": "open"}
        return _answer(201, shown)

    def commented(self, ticket: Kept, body: Any) -> Answered:
        ticket.comments.append(body["body"])
        return _answer(201, {"id": 1, "body": body["body"]})


class RequestTracker(Vendor):
    """As a real RT 5.0.3 answered, for where none is installed."""

    preset = "request_tracker"
    login = "token s3cret-of-the-test"
    search = ("GET", r"/REST/2\.0/tickets")
    create = ("POST", r"/REST/2\.0/ticket")
    comment = ("POST", r"/REST/2\.0/ticket/(\d+)/comment")

    def searched(self, query: dict[str, str]) -> Answered:
        found = re.fullmatch(r"Subject LIKE '(triage-[0-9a-f]{16})'", query["query"])
        assert found
        shown = [
            {
                "Subject": ticket.title,
                "type": "ticket",
                "Status": "new",
                "id": str(ticket.number),
                "_url": f"http://127.0.0.1:18080/REST/2.0/ticket/{ticket.number}",
            }
            for ticket in self.holding(found[1])
        ]
        counts = {"page": 1, "per_page": 20, "pages": 1, "total": len(shown), "count": len(shown)}
        return _answer(200, {"items": shown, **counts})

    def made(self, number: int, body: Any) -> Kept:
        assert (body["Queue"], body["ContentType"]) == ("General", "text/plain")
        found = re.search(r" \[(triage-[0-9a-f]{16})\]$", body["Subject"])
        assert found
        return Kept(number, found[1], body["Subject"], body["Content"])

    def created(self, ticket: Kept) -> Answered:
        where = f"http://127.0.0.1:18080/REST/2.0/ticket/{ticket.number}"
        return _answer(201, {"_url": where, "id": str(ticket.number), "type": "ticket"})

    def commented(self, ticket: Kept, body: Any) -> Answered:
        ticket.comments.append(body["Content"])
        return _answer(201, ["Comments added"])
