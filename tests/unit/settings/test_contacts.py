"""Tenants and contacts from files that a CRM exports: what is taken, and what is refused where."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.settings.desk import MAILBOX, ORG, REST, Desk, tenant
from triage.settings import ConfigurationError, Settings, load, load_in_part
from triage.settings.contact_files import OCTETS, parts_of_octets
from triage.settings.contacts_csv import COLUMNS, ROWS
from triage.tenant import Contact, Role

FILES = "[contacts]\nfile = {}"
HEAD = "tenant,org_ids,contact,role,language,opt_out\n"
PRIYA, TOM = "priya@northwind.example", "tom@northwind.example"


class Crm:
    """A desk with files beside triage.toml."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.folder = desk, desk.path.parent

    def loads(self, *files: tuple[str, str | bytes], own: str = "") -> Settings:
        self.write(*files, own=own)
        return load(self.desk.path)

    def write(self, *files: tuple[str, str | bytes], own: str = "") -> None:
        for name, text in files:
            octets = text if isinstance(text, bytes) else text.encode()
            (self.folder / name).write_bytes(octets)
        names = FILES.format([name for name, _ in files])
        self.desk.path.write_text(f"{MAILBOX}\n{REST}\n{names}\n{own}", encoding="utf-8")

    def faults(self, *files: tuple[str, str | bytes], own: str = "") -> list[str]:
        self.write(*files, own=own)
        with pytest.raises(ConfigurationError) as caught:
            load(self.desk.path)
        return [fault.replace(f"{self.folder}/", "") for fault in caught.value.faults]

    def of_csv(self, text: str | bytes, own: str = "") -> list[str]:
        """Faults in tenants.csv, without its name, with which each begins."""
        found = self.faults(("tenants.csv", text), own=own)
        assert all(fault.startswith("tenants.csv: ") for fault in found), found
        return [fault.removeprefix("tenants.csv: ") for fault in found]


@pytest.fixture
def crm(desk: Desk) -> Crm:
    return Crm(desk)


# What is taken -----------------------------------------------------------------------------

FULL = """\
tenant;Org IDs;my_domains;domains;agent_connect;contact;role;language;timezone;digest;opt-out

northwind;00D8x000001AbCd, 00D8x000001AbCe;northwind.my.salesforce.com;northwind.example;northwind;\
Priya@Northwind.Example;admin;EN;Europe/London;yes;no
northwind;00D8x000001AbCd;;;;tom@northwind.example;Technical;de;;;1
northwind;;;;;;;fr;;;

contoso;"00D5g00000QwErT; 00D5g00000QwErU";;;;;;;;;
"""


def test_rows_of_one_tenant_are_put_together(crm: Crm) -> None:
    first, second = crm.loads(("tenants.csv", FULL)).all_tenants()
    assert (first.name, second.name) == ("northwind", "contoso")
    assert first.org_ids == ("00D8x000001AbCd", "00D8x000001AbCe")
    assert first.my_domains == ("northwind.my.salesforce.com",)
    assert (first.domains, first.agent_connect) == (("northwind.example",), ("northwind",))
    assert first.contacts == (
        Contact(PRIYA, Role.ADMIN, "en", "Europe/London", digest=True),
        Contact(TOM, Role.TECHNICAL, "de", "Europe/London", opt_out=True),
    )
    assert (first.language, first.timezone) == ("fr", "Europe/London")
    assert second.org_ids == ("00D5g00000QwErT", "00D5g00000QwErU")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_header_tells_the_delimiter(crm: Crm, delimiter: str, end: str, mark: bytes) -> None:
    text = HEAD.replace(",", delimiter) + delimiter.join(["northwind", ORG, PRIYA, "", "", ""])
    settings = crm.loads(("tenants.csv", mark + text.replace("\n", end).encode()))
    assert settings.all_tenants().by_contact(PRIYA) is not None


def test_a_row_without_a_contact_speaks_for_the_tenant(crm: Crm) -> None:
    rows = "tenant,language,timezone,digest\nnorthwind,de,Europe/Berlin,yes\n"
    [only] = crm.loads(("t.csv", rows)).all_tenants()
    assert (only.language, only.timezone, only.digest) == ("de", "Europe/Berlin", True)


def test_without_such_a_row_a_tenant_speaks_as_its_first_contact(crm: Crm) -> None:
    rows = f"tenant,contact,language\nnorthwind,{TOM},\nnorthwind,{PRIYA},de\n"
    [only] = crm.loads(("t.csv", rows)).all_tenants()
    assert [contact.language for contact in only.contacts] == ["de", "de"]


YAML = f"""\
tenants:
  - name: northwind
    org_ids: [{ORG}]
    contacts:
      - {PRIYA}
      - {{address: {TOM}, role: fallback, opt_out: true}}
"""


def test_yaml_has_the_shape_of_the_tenants_in_toml(crm: Crm) -> None:
    in_file = crm.loads(("tenants.yaml", YAML)).all_tenants()
    contacts = f'contacts = ["{PRIYA}", {{ address = "{TOM}", role = "fallback", opt_out = true }}]'
    own = crm.desk.loads(MAILBOX, REST, tenant(f'org_ids = ["{ORG}"]', contacts)).all_tenants()
    assert list(in_file) == list(own)


def test_a_tenant_of_triage_toml_gets_its_contacts_from_files(crm: Crm) -> None:
    own = tenant(f'org_ids = ["{ORG}"]', 'language = "de"', "hold = true")
    rows = f"tenant,contact\nnorthwind,{PRIYA}\n"
    [only] = crm.loads(("a.csv", rows), ("b.yml", YAML), own=own).all_tenants()
    assert [contact.address for contact in only.contacts] == [PRIYA, TOM]
    assert (only.org_ids, only.language, only.hold) == ((ORG,), "de", True)


def test_one_file_needs_no_list(crm: Crm) -> None:
    (crm.folder / "t.csv").write_text("tenant\nnorthwind\n")
    settings = crm.desk.loads(MAILBOX, REST, FILES.format('"t.csv"'))
    assert settings.contacts.file == (crm.folder / "t.csv",)
    assert len(settings.tenants) == 1


def test_the_environment_may_name_the_file(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    (crm.folder / "t.csv").write_text("tenant\nnorthwind\n")
    monkeypatch.setenv("TRIAGE_CONTACTS__FILE", "t.csv")
    assert len(crm.desk.loads(MAILBOX, REST).tenants) == 1


# What is refused, with file and line -------------------------------------------------------


def test_all_faults_of_all_files_are_told_at_once(crm: Crm) -> None:
    rows = f'{HEAD}northwind,00DX,{PRIYA},,,\nNorth Wind,,"{TOM},{PRIYA}",boss,,perhaps\n'
    more = "tenants:\n  - name: contoso\n    timezone: Berlin\n    colour: red\n"
    faults = crm.faults(("a.csv", rows), ("b.yaml", more), own='[policy]\nshadow = "so"')
    assert [fault.split(": ")[:3] for fault in faults] == [
        ["a.csv", "line 2", "org_ids"],
        ["a.csv", "line 3", "contact"],
        ["a.csv", "line 3", "tenant"],
        ["a.csv", "line 3", "role"],
        ["a.csv", "line 3", "opt_out"],
        ["b.yaml", "line 3", "timezone"],
        ["b.yaml", "line 4", "colour"],
        ["triage.toml", "policy.shadow", "true or false is needed"],
    ]


def test_a_line_break_in_a_cell_is_refused_where_the_row_begins(crm: Crm) -> None:
    rows = f'{HEAD}northwind,,{PRIYA},,,\nnorthwind,,"{TOM}\nBcc: x@y.example",,,\ncontoso,,,,,\n'
    [fault] = crm.of_csv(rows)
    assert fault == ("line 3: contact: no control characters are allowed, such as line breaks")


@pytest.mark.parametrize("between", [", ", ";", " ", "/", " und "])
def test_several_addresses_in_a_cell_are_refused(crm: Crm, between: str) -> None:
    [fault] = crm.of_csv(f'{HEAD}northwind,,"{PRIYA}{between}{TOM}",,,\n')
    assert fault.startswith("line 2: contact: several addresses stand here; each contact has a row")


def test_latin_1_is_refused_by_name(crm: Crm) -> None:
    rows = HEAD.replace(",", ";") + "northwind;;jörg@northwind.example;;;\n"
    assert crm.of_csv(rows.encode("latin-1")) == [
        "line 2: is not UTF-8 text, perhaps Latin-1 or Windows-1252; save it as UTF-8"
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_utf_16_is_refused_by_name(crm: Crm, encoding: str) -> None:
    octets = ("\ufeff" if encoding != "utf-16" else "").encode(encoding)
    assert crm.of_csv(octets + HEAD.encode(encoding)) == [
        "line 1: is UTF-16 text; save it as UTF-8"
    ]


def test_an_org_id_that_two_tenants_claim_is_named_with_both_lines(crm: Crm) -> None:
    rows = f"{HEAD}northwind,{ORG},,,,\n\ncontoso,{ORG}EAK,,,,\n"
    assert crm.of_csv(rows) == [
        f"line 4: org_ids: {ORG} is northwind's already (tenants.csv: line 2: org_ids)"
    ]


def test_a_host_is_one_tenants_across_files_and_triage_toml(crm: Crm) -> None:
    own = tenant('my_domains = ["north.my.salesforce.com"]')
    rows = "tenant,my_domains\ncontoso,north--uat.sandbox.my.salesforce.com\n"
    assert crm.of_csv(rows, own) == ["line 2: my_domains: north is northwind's already"]


def test_a_contact_that_is_a_watched_address_is_refused_with_its_line(crm: Crm) -> None:
    [fault] = crm.of_csv(f"{HEAD}northwind,,errors+x@example.com,,,\n")
    assert fault.startswith("line 2: contact: errors+x@example.com is also mailboxes.support.")
    [fault] = crm.faults(("t.yaml", YAML.replace(TOM, "support@example.com")))
    assert fault.startswith("t.yaml: line 6: contacts: support@example.com is also smtp.from")


def test_what_is_said_twice_and_differs_is_named_with_both_lines(crm: Crm) -> None:
    rows = f"{HEAD}northwind,,{PRIYA},admin,en,no\nnorthwind,,{PRIYA},fallback,en,yes\n"
    assert crm.of_csv(rows) == [
        "line 3: contact: role: fallback here, and admin there: tenants.csv: line 2: contact: role",
        "line 3: contact: opt_out: yes here, and no there: tenants.csv: line 2: contact: opt_out",
    ]


def test_what_is_said_twice_alike_counts_once(crm: Crm) -> None:
    rows = f"{HEAD}northwind,{ORG},{PRIYA},,,\nnorthwind,{ORG},{PRIYA},admin,,\n"
    [only] = crm.loads(("t.csv", rows)).all_tenants()
    assert (only.org_ids, only.contacts) == ((ORG,), (Contact(PRIYA),))


def test_a_tenant_that_triage_toml_and_a_file_contradict_is_refused(crm: Crm) -> None:
    rows = "tenant,language\nnorthwind,de\n"
    assert crm.of_csv(rows, tenant('language = "fr"')) == [
        "line 2: language: de here, and fr there: tenants.northwind.language"
    ]


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        ("tenant,contcat", "line 1: contcat: unknown column; did you mean contact? allowed: "),
        ("tenant,", "line 1: a column without a name: unknown column; allowed: "),
        ("tenant,role,Role", "line 1: role: this column stands there twice"),
        ("contact,role", "line 1: tenant: this column is missing; columns are tenant, "),
        ("\n\ncontact", "line 3: tenant: this column is missing; columns are tenant, "),
        ("tenant" + ",x" * 200, "line 1: has 201 columns; at most 100 are read"),
        ("", "line 1: is empty; the first row names the columns"),
        ("tenant\n", "names no tenant"),
    ],
)
def test_a_header_that_is_none_is_told_what_is_needed(crm: Crm, head: str, fault: str) -> None:
    [found] = crm.of_csv(head)
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("northwind,,", "line 2: has 3 cells, and the first row names 6 columns"),
        ("northwind,,a@b.example,,,,", "line 2: has 7 cells, and the first row names 6 columns"),
        (",,a@b.example,,,", "line 2: tenant: is missing"),
        ("northwind,,,admin,,", "line 2: role: belongs to a contact, and this row has none"),
        ("northwind,00D1 00DX,,,,", "line 2: org_ids: 00D1: an organisation id has"),
        ("northwind,,a@b.example,,english,", "line 2: language: two letters are needed here"),
        ("northwind,,a@b.example,boss,,", "line 2: role: allowed are 'admin', 'technical'"),
        ("northwind,,a@b.example,,,maybe", "line 2: opt_out: true or false is needed"),
        ("northwind,,Priya <a@b.example>,,,", "line 2: contact: one mail address is needed here"),
        ('northwind,,"a@b.example,,,', "line 2: is not CSV: unexpected end of data"),
        ('northwind,,"a"@b.example,,,', "line 2: is not CSV: ',' expected after"),
        ("north\0wind,,,,,", "line 2: tenant: no control characters are allowed"),
        (f"northwind,{'x' * 200_000},,,,", "line 2: is not CSV: field larger than field limit"),
    ],
)
def test_a_row_with_a_fault_is_named_by_line_and_column(crm: Crm, row: str, fault: str) -> None:
    assert crm.of_csv(HEAD + row)[0].startswith(fault)


def test_rows_beyond_the_limit_are_refused(crm: Crm) -> None:
    [fault] = crm.of_csv("tenant\n" + "northwind\n" * (ROWS + 1))
    assert fault == f"line {ROWS + 2}: there are more than {ROWS} rows"


def test_a_file_beyond_the_limit_is_refused_before_it_is_parsed(crm: Crm) -> None:
    assert crm.of_csv(b"\xff" * (OCTETS + 1)) == [f"is larger than {OCTETS} octets"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "line 1: is empty; a list `tenants:` is needed"),
        ("- northwind", "line 1: a list `tenants:` is needed, as in triage.toml"),
        ("tenants: northwind", "line 1: a list `tenants:` is needed, as in triage.toml"),
        ("tenants: []", "names no tenant"),
        ("tenants:\n  - northwind", "line 2: a section with keys of its own is needed"),
        ("tenants:\n  - nam: northwind", "line 2: name: is missing"),
        ("x: 1\ntenants:\n  - name: a", "line 1: x: unknown key; allowed: tenants"),
        ("tenants:\n  - name: a\n    name: b", "line 3: duplicate key `name`, first in line 2"),
        ("tenants: &a\n  - *a", "line 1: anchors and aliases (& and *) are not used here"),
        ("tenants:\n  - name: a\n   x: 1", "line 3: not YAML: "),
        (
            "tenants:\n  - name: a\n    contacts:\n      - a@b.example\n      - [x]",
            "line 5: contacts.1: a section with keys of its own is needed",
        ),
    ],
)
def test_yaml_with_a_fault_is_named_by_its_line(crm: Crm, text: str, fault: str) -> None:
    assert crm.faults(("t.yaml", text))[0].startswith(f"t.yaml: {fault}")


def test_a_missing_file_is_named(crm: Crm) -> None:
    crm.desk.path.write_text("\n".join([MAILBOX, REST, FILES.format('"none.csv"')]))
    with pytest.raises(ConfigurationError) as caught:
        load(crm.desk.path)
    assert str(caught.value) == (
        f"{crm.folder}/none.csv: cannot be read: No such file or directory"
    )


def test_a_file_of_another_kind_is_refused(crm: Crm) -> None:
    assert crm.faults(("tenants.xlsx", b"PK")) == [
        "tenants.xlsx: a name that ends in .csv, .yaml, .yml is needed"
    ]


def test_what_needs_no_contacts_works_while_their_file_is_faulty(crm: Crm) -> None:
    crm.write(("t.csv", "contact\n"), own=tenant(name="contoso"))
    settings, faults = load_in_part(crm.desk.path)
    assert [one.name for one in settings.tenants] == ["contoso"]
    assert len(faults) == 1


# Whatever stands in a file -----------------------------------------------------------------

CELLS = st.one_of(
    st.text(max_size=30),
    st.sampled_from([ORG, PRIYA, TOM, "northwind", "admin", "de", "yes", "Europe/London", ""]),
)
ROWS_OF_CELLS = st.lists(st.lists(CELLS, min_size=1, max_size=6), max_size=6)


@given(st.binary(max_size=300), st.sampled_from(["t.csv", "t.yaml"]))
@example(b"\xef\xbb\xbftenant\n\x00\n", "t.csv")
@example(b"tenants:\n - {contacts: {a: [}", "t.yaml")
def test_no_octets_raise(octets: bytes, name: str) -> None:
    parts, faults = parts_of_octets(name, octets)
    assert parts or faults
    assert all(fault.startswith(f"{name}: ") and "\n" not in fault for fault in faults)


@given(st.permutations(COLUMNS), st.integers(1, len(COLUMNS)), ROWS_OF_CELLS)
def test_no_rows_raise(columns: list[str], width: int, rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=";").writerows([columns[:width], *rows])
    octets = text.getvalue().encode("utf-8", "replace")
    parts, faults = parts_of_octets("t.csv", octets)
    assert parts or faults
    assert all("\n" not in fault for fault in faults)
    assert len(parts) <= len(rows)


NAMES = st.sampled_from(["northwind", "contoso", "fabrikam"])


@given(
    st.lists(st.tuples(NAMES, st.integers(0, 5)), min_size=1, max_size=12, unique_by=lambda r: r[1])
)
def test_every_contact_of_the_rows_belongs_to_the_tenant_of_its_row(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]]
) -> None:
    folder = Path(tmp_path_factory.mktemp("crm"))
    lines = [f"{name},a{number}@example.org" for name, number in rows]
    (folder / "t.csv").write_text("\n".join(["tenant,contact", *lines]))
    (folder / "triage.toml").write_text("\n".join([MAILBOX, REST, FILES.format('"t.csv"')]))
    tenants = load(folder / "triage.toml").all_tenants()
    for name, number in rows:
        found = tenants.by_contact(f"a{number}@example.org")
        assert found is not None
        assert found.name == name
