"""Ticket systems that tests cannot install: they answer as the vendors' API documents show it.

The answers are the examples of those documents, with what was asked put in; what the documents say
is refused is refused here. The state behind is as simple as can be.
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
    resolved: bool = False


def _answer(status: int, body: object) -> Answered:
    return Answered(status, json.dumps(body).encode())


class RefusedError(Exception):
    """What the vendor does not take, with its answer."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(status, body)
        self.answer = _answer(status, body)


class Vendor(ABC):
    """What they have in common: a login, tickets, and three things that can be asked."""

    preset = ""
    user = ""
    token = "s3cret-of-the-test"
    login = ""
    values: ClassVar[dict[str, str]] = {}
    create = comment = search = ("", "")
    not_you: ClassVar[object] = {}
    """The answer to a wrong login."""
    not_found: ClassVar[object] = {}

    def __init__(self) -> None:
        self.tickets: list[Kept] = []
        self.headers: dict[str, str] = {}
        """Of the last request."""

    def __call__(self, asked: Asked) -> Answered:
        try:
            return self._answered(asked)
        except RefusedError as refused:
            return refused.answer

    def _answered(self, asked: Asked) -> Answered:
        if asked.headers.get("authorization") != self.login:
            return _answer(401, self.not_you)
        if asked.body and asked.headers.get("content-type") != "application/json":
            return _answer(415, {"message": "Unsupported Media Type"})
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
                ticket = next((t for t in self.tickets if self.key(t) == found[1]), None)
                if ticket is not None:
                    return self.commented(ticket, body)
        return _answer(404, self.not_found)

    def key(self, ticket: Kept) -> str:
        """What stands for a ticket in a path."""
        return str(ticket.number)

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

    def resolve(self, external_id: str) -> None:
        """Those who work there are done with it."""
        for ticket in self.kept(external_id):
            ticket.resolved = True


class Zendesk(Vendor):
    """developer.zendesk.com: Tickets (list by external_id, create, update), Idempotency."""

    preset = "zendesk"
    user = "agent@example.com"
    login = "Basic YWdlbnRAZXhhbXBsZS5jb20vdG9rZW46czNjcmV0LW9mLXRoZS10ZXN0"
    search = ("GET", r"/api/v2/tickets")
    create = ("POST", r"/api/v2/tickets")
    comment = ("PUT", r"/api/v2/tickets/(\d+)")
    not_you: ClassVar = {"error": "Couldn't authenticate you"}
    not_found: ClassVar = {"error": "RecordNotFound", "description": "Not found"}

    def __init__(self) -> None:
        super().__init__()
        self._once: dict[str, tuple[Asked, Answered]] = {}

    def _answered(self, asked: Asked) -> Answered:
        key = asked.headers.get("idempotency-key", "")
        if key not in self._once:
            answer = super()._answered(asked)
            if key and answer.status == 201:
                self._once[key] = (asked, answer)
            return answer
        first, answer = self._once[key]
        if first.body != asked.body:
            why = "Request parameters do not match those of the first request with this key"
            return _answer(400, {"error": "IdempotentRequestError", "description": why})
        return answer

    def _shown(self, ticket: Kept) -> dict[str, object]:
        return {
            "id": ticket.number,
            "external_id": ticket.external_id,
            "subject": ticket.title,
            "status": "closed" if ticket.closed else "solved" if ticket.resolved else "new",
            "url": f"https://example.zendesk.com/api/v2/tickets/{ticket.number}.json",
            "via": {"channel": "api"},
        }

    @staticmethod
    def _checked(comment: Any) -> str:
        """Its properties are case sensitive, and a ticket without words is refused."""
        if not comment.get("body") or len(comment["body"]) > 65_535:
            why = [{"description": "Description: cannot be blank or too long"}]
            raise RefusedError(422, {"error": "RecordInvalid", "details": {"base": why}})
        assert comment["public"] is False
        return comment["body"]

    def searched(self, query: dict[str, str]) -> Answered:
        found = [self._shown(ticket) for ticket in self.holding(query["external_id"])]
        return _answer(200, {"tickets": found, "count": len(found), "next_page": None})

    def made(self, number: int, body: Any) -> Kept:
        ticket = body["ticket"]
        assert self.headers["idempotency-key"]
        text = self._checked(ticket["comment"])
        if ticket["priority"] not in {"urgent", "high", "normal", "low"}:
            why = [{"description": "Priority: is not properly formatted", "error": "InvalidValue"}]
            raise RefusedError(422, {"error": "RecordInvalid", "details": {"priority": why}})
        return Kept(number, ticket["external_id"], ticket["subject"], text)

    def created(self, ticket: Kept) -> Answered:
        return _answer(201, {"ticket": self._shown(ticket), "audit": {"id": 35436}})

    def commented(self, ticket: Kept, body: Any) -> Answered:
        if ticket.closed:
            why = [{"description": "Status: closed prevents ticket update"}]
            return _answer(422, {"error": "RecordInvalid", "details": {"status": why}})
        ticket.comments.append(self._checked(body["ticket"]["comment"]))
        if "status" in body["ticket"]:
            assert body["ticket"]["status"] == "open"
            ticket.resolved = False
        return _answer(200, {"ticket": self._shown(ticket), "audit": {"id": 35437}})


def _of_document(document: Any) -> str:
    """The text of an Atlassian document with one code block; plain text is refused in v3."""
    if not isinstance(document, dict) or (document["type"], document["version"]) != ("doc", 1):
        wrong = {"comment": "Operation value must be an Atlassian Document"}
        raise RefusedError(400, {"errorMessages": [], "errors": wrong})
    (block,) = document["content"]
    assert block["type"] == "codeBlock"
    (node,) = block["content"]
    assert node.keys() == {"type", "text"}  # no marks
    if not 0 < len(node["text"]) <= 32_767:
        why = "The entered text is too long. It exceeds the allowed limit of 32,767 characters."
        raise RefusedError(400, {"errorMessages": [], "errors": {"description": why}})
    return node["text"]


class Jira(Vendor):
    """developer.atlassian.com: Jira Cloud REST API v3 (search/jql, create issue, add comment).

    `blind` is how many searches still do not show what was made last: the index lags behind.
    """

    preset = "jira"
    user = "agent@example.com"
    login = "Basic YWdlbnRAZXhhbXBsZS5jb206czNjcmV0LW9mLXRoZS10ZXN0"
    values: ClassVar = {"project": "SUP"}
    search = ("GET", r"/rest/api/3/search/jql")
    create = ("POST", r"/rest/api/3/issue")
    comment = ("POST", r"/rest/api/3/issue/(\d+)/comment")
    not_you: ClassVar = {
        "message": "Client must be authenticated to access this resource.",
        "status-code": 401,
    }
    not_found: ClassVar = {
        "errorMessages": ["Issue does not exist or you do not have permission to see it."],
        "errors": {},
    }
    blind = 0

    def searched(self, query: dict[str, str]) -> Answered:
        if self.blind:
            self.blind -= 1
            return _answer(200, {"issues": [], "isLast": True})
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
        taken = {"project", "issuetype", "summary", "labels", "description"}
        if wrong := sorted(fields.keys() - taken):
            why = "cannot be set. It is not on the appropriate screen, or unknown."
            errors = {name: f"Field '{name}' {why}" for name in wrong}
            raise RefusedError(400, {"errorMessages": [], "errors": errors})
        if any(" " in label or len(label) > 255 for label in fields["labels"]):
            raise RefusedError(400, {"errors": {"labels": "The label contains spaces"}})
        if not 0 < len(fields["summary"]) <= 255 or "\n" in fields["summary"]:
            why = "The summary is invalid because it contains newline characters."
            raise RefusedError(400, {"errorMessages": [], "errors": {"summary": why}})
        assert fields["project"] == {"key": "SUP"}
        assert fields["issuetype"] == {"name": "Task"}
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
    """servicenow.com/docs: Table API (retrieve records, create, update)."""

    preset = "servicenow"
    user = "triage"
    login = "Basic dHJpYWdlOnMzY3JldC1vZi10aGUtdGVzdA=="
    search = ("GET", r"/api/now/table/incident")
    create = ("POST", r"/api/now/table/incident")
    comment = ("PATCH", r"/api/now/table/incident/([0-9a-f]{32})")
    not_you: ClassVar = {
        "error": {
            "message": "User Not Authenticated",
            "detail": "Required to provide Auth information",
        },
        "status": "failure",
    }
    not_found: ClassVar = {
        "error": {
            "message": "No Record found",
            "detail": "Record doesn't exist or ACL restricts the record retrieval",
        },
        "status": "failure",
    }

    def key(self, ticket: Kept) -> str:
        return f"a9e30c7dc61122760116894d{ticket.number:08x}"

    def _shown(self, ticket: Kept) -> dict[str, str]:
        return {
            "sys_id": self.key(ticket),
            "number": f"INC{ticket.number:07}",
            "state": "7" if ticket.closed else "6" if ticket.resolved else "1",
            "correlation_id": ticket.external_id,
        }

    def searched(self, query: dict[str, str]) -> Answered:
        # It drops a condition that it does not understand, and then shows any records.
        first, _, order = query["sysparm_query"].partition("^")
        assert order == "ORDERBYDESCsys_created_on"
        name, _, wanted = first.partition("=")
        hits = self.holding(wanted) if name == "correlation_id" else self.tickets
        limit = int(query["sysparm_limit"])
        return _answer(200, {"result": [self._shown(t) for t in hits[::-1][:limit]]})

    def made(self, number: int, body: Any) -> Kept:
        assert self.headers["accept"] == "application/json"
        assert len(body["short_description"]) <= 160
        assert len(body["description"]) <= 4000
        assert {body["impact"], body["urgency"]} <= {"1", "2", "3"}
        return Kept(number, body["correlation_id"], body["short_description"], body["description"])

    def created(self, ticket: Kept) -> Answered:
        return _answer(201, {"result": self._shown(ticket)})

    def commented(self, ticket: Kept, body: Any) -> Answered:
        ticket.comments.append(body["work_notes"])
        if "state" in body:
            assert body["state"] == "2"
            ticket.resolved = False
        return _answer(200, {"result": self._shown(ticket)})


_GITHUB = "https://docs.github.com/rest"


class GitHub(Vendor):
    """docs.github.com: REST API 2022-11-28 (search issues, create an issue, create a comment).

    `blind` as with Jira; `broken_off` says that the next search runs out of time.
    """

    preset = "github"
    login = "Bearer s3cret-of-the-test"
    values: ClassVar = {"owner": "northwind", "repository": "support"}
    search = ("GET", r"/search/issues")
    create = ("POST", r"/repos/northwind/support/issues")
    comment = ("POST", r"/repos/northwind/support/issues/(\d+)/comments")
    not_you: ClassVar = {
        "message": "Bad credentials",
        "documentation_url": _GITHUB,
        "status": "401",
    }
    not_found: ClassVar = {"message": "Not Found", "documentation_url": _GITHUB, "status": "404"}
    blind = 0
    broken_off = False

    def _answered(self, asked: Asked) -> Answered:
        if not asked.headers.get("user-agent"):
            return _answer(403, {"message": "Request forbidden by administrative rules."})
        if asked.headers.get("x-github-api-version") != "2022-11-28":
            return _answer(400, {"message": "the version is not supported"})
        again = re.fullmatch(r"/repos/northwind/support/issues/(\d+)", asked.target)
        if again and asked.method == "PATCH":
            (ticket,) = [t for t in self.tickets if self.key(t) == again[1]]
            assert json.loads(asked.body) == {"state": "open"}
            ticket.resolved = False
            return self.created(ticket)
        return super()._answered(asked)

    @staticmethod
    def _checked(text: str) -> str:
        if not 0 < len(text) <= 65_536:
            why = {"resource": "Issue", "code": "custom", "field": "body"}
            raise RefusedError(422, {"message": "Validation Failed", "errors": [why]})
        return text

    def searched(self, query: dict[str, str]) -> Answered:
        if self.blind or self.broken_off:
            broken, self.broken_off = self.broken_off, False
            self.blind = max(0, self.blind - 1)
            return _answer(200, {"total_count": 0, "incomplete_results": broken, "items": []})
        terms = query["q"].split()
        assert terms[1:] == ["in:body", "is:issue", "repo:northwind/support"]
        # It searches for words, and finds what is only similar as well.
        found = [
            {
                "id": 1000 + t.number,
                "number": t.number,
                "state": "closed" if t.resolved else "open",
                "body": t.text,
            }
            for t in self.tickets[::-1]
        ]
        whole = {"total_count": len(found), "incomplete_results": False, "items": found[:10]}
        return _answer(200, whole)

    def made(self, number: int, body: Any) -> Kept:
        found = re.search(r"\n```\n\n(triage-[0-9a-f]{16})$", body["body"])
        assert found
        return Kept(number, found[1], body["title"], self._checked(body["body"]))

    def created(self, ticket: Kept) -> Answered:
        where = f"https://api.github.com/repos/northwind/support/issues/{ticket.number}"
        shown = {"id": 1000 + ticket.number, "number": ticket.number, "url": where, "state": "open"}
        return _answer(201, shown)

    def commented(self, ticket: Kept, body: Any) -> Answered:
        ticket.comments.append(self._checked(body["body"]))
        return _answer(201, {"id": 1, "body": body["body"]})


class RequestTracker(Vendor):
    """As a real RT 5.0.3 answered, for where none is installed."""

    preset = "request_tracker"
    login = "token s3cret-of-the-test"
    search = ("GET", r"/REST/2\.0/tickets")
    create = ("POST", r"/REST/2\.0/ticket")
    comment = ("POST", r"/REST/2\.0/ticket/(\d+)/comment")
    not_you: ClassVar = {"message": "Unauthorized"}
    not_found: ClassVar = {"message": "Resource does not exist"}

    def searched(self, query: dict[str, str]) -> Answered:
        found = re.fullmatch(r"Subject LIKE '(triage-[0-9a-f]{16})'", query["query"])
        assert found
        shown = [
            {
                "Subject": ticket.title,
                "type": "ticket",
                "Status": "resolved" if ticket.resolved else "new",
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
        if "Status" in body:
            assert body["Status"] == "open"
            ticket.resolved = False
            return _answer(201, ["Comments added", "Status changed from 'resolved' to 'open'"])
        return _answer(201, ["Comments added"])
