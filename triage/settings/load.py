"""triage.toml and the environment to Settings, with every fault named by its key."""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from triage.mail.authenticity import Trust
from triage.settings.contact_files import parts_of_file
from triage.settings.contacts import LISTS, joined
from triage.settings.faults import DELIMITER, PREFIX, Loc, found, named, unknown, without
from triage.settings.health import AlarmSection, HealthSection, HttpSection
from triage.settings.sections import (
    BudgetsSection,
    CatalogSection,
    ConfigurationError,
    ContactsSection,
    DigestSection,
    LimitsSection,
    LogSection,
    MailboxSection,
    PolicySection,
    SmtpSection,
    StoreSection,
    SupportSection,
    TenantSection,
)
from triage.settings.tickets import TicketsSection
from triage.tenant import Tenants, my_domain

_FILE_OCTETS = 10_000_000
_CONTACTS = f"{PREFIX}CONTACTS{DELIMITER}"


class _SingleValues(EnvSettingsSource):
    """The environment as a source of single values: nothing in it is read as JSON."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        del field_name, field
        return value


class Settings(BaseSettings):
    """All of triage.toml. The environment overrides scalars: TRIAGE_POLICY__SHADOW=false."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    store: StoreSection = StoreSection()
    mailboxes: tuple[MailboxSection, ...] = Field(min_length=1)
    smtp: SmtpSection
    tenants: tuple[TenantSection, ...] = ()
    contacts: ContactsSection = ContactsSection()
    support: SupportSection
    tickets: TicketsSection = TicketsSection()
    catalog: CatalogSection = CatalogSection()
    policy: PolicySection = PolicySection()
    budgets: BudgetsSection = BudgetsSection()
    digest: DigestSection = DigestSection()
    health: HealthSection = HealthSection()
    http: HttpSection = HttpSection()
    alarm: AlarmSection | None = None
    log: LogSection = LogSection()
    limits: LimitsSection = LimitsSection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file; nothing else is read."""
        return _SingleValues(settings_cls), init_settings

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if faults := self.faults():
            raise ValueError("\n".join(faults))
        return self

    def faults(self) -> list[str]:
        """What keys that are good alone do not say together."""
        return [*self._incomplete(), *self._doubles(), *self._claims(), *self._loops()]

    def _incomplete(self) -> Iterator[str]:
        for mailbox in self.mailboxes:
            yield from (f"mailboxes.{mailbox.name}: {fault}" for fault in mailbox.faults())
        yield from (f"smtp: {fault}" for fault in self.smtp.faults())
        yield from (f"tickets: {fault}" for fault in self.tickets.faults())
        if self.alarm is None:
            return
        yield from (f"alarm: {fault}" for fault in self.alarm.faults())
        second = self.alarm.smtp
        if second and (second.host, second.smtp_port) == (self.smtp.host, self.smtp.smtp_port):
            yield "alarm.smtp: this is the server of [smtp]; a second way needs another one"

    def _doubles(self) -> Iterator[str]:
        """What stands twice in one list."""
        lists = {
            "mailboxes.name": [mailbox.name for mailbox in self.mailboxes],
            "tenants.name": [tenant.name for tenant in self.tenants],
        } | {key: list(addresses) for key, addresses in self._readers().items()}
        for key, values in lists.items():
            for value, times in Counter(values).items():
                if times > 1:
                    yield f"{key}: {value} stands there {times} times"

    def _claims(self) -> Iterator[str]:
        """What two tenants claim, each for itself (design 5.1)."""
        owners: dict[tuple[str, str], tuple[TenantSection, str]] = {}
        for tenant in self.tenants:
            for key, written, value in _claimed(tenant):
                owner, first = owners.setdefault((key, value), (tenant, written))
                if owner.name != tenant.name:
                    where = f" ({owner.place(key, first)})" if owner.is_filed else ""
                    yield f"{tenant.place(key, written)}: {value} is {owner.name}'s already{where}"

    def _loops(self) -> Iterator[str]:
        """Addresses and folders by which Triage would be its own correspondent (design 5.9)."""
        own = {self.smtp.from_address: "smtp.from", self.smtp.bounce_address: "smtp.bounce_address"}
        if self.alarm and self.alarm.smtp:
            own |= {self.alarm.smtp.from_address: "alarm.smtp.from"}
            own |= {self.alarm.smtp.bounce_address: "alarm.smtp.bounce_address"}
        for mailbox in self.mailboxes:
            own |= {mailbox.username.lower(): f"mailboxes.{mailbox.name}.username"}
            own |= dict.fromkeys(mailbox.addresses, f"mailboxes.{mailbox.name}.addresses")
        own = {untagged(address): key for address, key in own.items()} | own
        places = {f"tenants.{tenant.name}.contacts": tenant for tenant in self.tenants}
        for key, addresses in self._readers().items():
            for address in dict.fromkeys(addresses):
                if named := own.get(address) or own.get(untagged(address)):
                    place = places[key].place("contacts", address) if key in places else key
                    yield (
                        f"{place}: {address} is also {named}: Triage would answer itself; "
                        "name an address that Triage neither watches nor sends from"
                    )
        watched = {(*m.account, m.folder.upper()): m.name for m in self.mailboxes}
        for mailbox in self.mailboxes:
            for verdict, after in mailbox.after:
                target = (*mailbox.account, after.removeprefix("move:").upper())
                if after.startswith("move:") and target in watched:
                    yield (
                        f"mailboxes.{mailbox.name}.after.{verdict}: that folder is watched as "
                        f"{watched[target]}; its mails would be read again and again"
                    )

    def _readers(self) -> dict[str, tuple[str, ...]]:
        """All who are written to, by the key that names them."""
        return {
            "support.contacts": self.support.contacts,
            "digest.recipients": self.digest.recipients,
            "alarm.smtp.to": self.alarm.smtp.to if self.alarm and self.alarm.smtp else (),
        } | {
            f"tenants.{tenant.name}.contacts": tuple(c.address for c in tenant.contacts)
            for tenant in self.tenants
        }

    def with_tenants_of(self, other: Settings) -> Settings:
        """These settings with the tenants and contacts of others.

        Raises ConfigurationError where they do not go together with the rest.
        """
        changes = {"tenants": other.tenants, "contacts": other.contacts}
        settings = self.model_copy(update=changes)
        if faults := settings.faults():
            raise ConfigurationError(faults)
        return settings

    def all_tenants(self) -> Tenants:
        """The tenants as the pure rooms know them."""
        return Tenants(tenant.value() for tenant in self.tenants)

    def trust(self) -> Trust:
        """The union over all mailboxes, for mails that come from no mailbox."""
        trusts = [mailbox.trust for mailbox in self.mailboxes]
        return Trust(
            frozenset().union(*(t.authserv_ids for t in trusts)),
            frozenset().union(*(t.border_hosts for t in trusts)),
            any(t.topmost_without_id for t in trusts),
        )


def _claimed(tenant: TenantSection) -> Iterator[tuple[str, str, str]]:
    """What a tenant has for itself: key, value as written, value as compared."""
    for key in LISTS:
        for value in dict.fromkeys(getattr(tenant, key)):
            yield key, value, my_domain(value) if key == "my_domains" else value
    for address in dict.fromkeys(contact.address for contact in tenant.contacts):
        yield "contacts", address, address


def untagged(address: str) -> str:
    """The address without a tag: what comes for `errors+x@` lands in the mailbox of `errors@`."""
    local, at, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}{at}{domain}"


def load(path: Path, *, contacts: bool = True) -> Settings:
    """The settings of a file. ConfigurationError names every fault at once.

    Relative paths in the file are below its folder. How keys go together is judged as soon as
    all that are needed are there. Without `contacts`, the files that [contacts] names are not
    read, and their tenants are missing.
    """
    values = _read(path)
    faults = dict.fromkeys(_strangers(values, str(path)))
    # Names with an underscore in front would be taken for options of the settings library.
    values = {key: value for key, value in values.items() if not key.startswith("_")}
    files = [path.parent / file for file in _contact_files(values)] if contacts else []
    if files:
        values, told = _with_files(values, files)
        faults |= dict.fromkeys(told)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        single = list(found(error, str(path), Settings, values))
        faults |= dict.fromkeys(line for _, line in single)
        faults |= dict.fromkeys(_together(values, {loc for loc, _ in single}, str(path)))
    if faults:
        heads = tuple(f"{path}: {file}: " for file in files)
        named = (f.removeprefix(f"{path}: ") if f.startswith(heads) else f for f in faults)
        raise ConfigurationError(list(dict.fromkeys(named)))
    return _anchored(settings, path.resolve().parent)


def load_in_part(path: Path) -> tuple[Settings, tuple[str, ...]]:
    """The settings, without contact files where these have faults; and those faults.

    Raises ConfigurationError for what is wrong with triage.toml itself.
    """
    try:
        return load(path), ()
    except ConfigurationError as error:
        return load(path, contacts=False), error.faults


def _contact_files(values: dict[str, Any]) -> tuple[Path, ...]:
    """What [contacts] names; the environment has its say."""
    if "contacts" not in values and not any(n.upper().startswith(_CONTACTS) for n in os.environ):
        return ()
    try:
        return Settings(**values).contacts.file
    except ValidationError:
        pass  # told later, all at once
    try:
        return ContactsSection.model_validate(values.get("contacts", {})).file
    except ValidationError:
        return ()


def _with_files(values: dict[str, Any], files: Iterable[Path]) -> tuple[dict[str, Any], list[str]]:
    """The values with the tenants of the files, and what is wrong with these."""
    found = [parts_of_file(file) for file in files]
    tenants, faults = joined(values.get("tenants", []), [p for parts, _ in found for p in parts])
    told = [fault for _, faults in found for fault in faults]
    if not isinstance(values.get("tenants", []), list):
        return values, told
    return {**values, "tenants": tenants}, [*told, *faults]


def _together(values: dict[str, Any], faulty: set[Loc], file: str) -> Iterator[str]:
    """What keys that are good alone do not say together; `faulty` ones are left out.

    A section with a faulty key is not called incomplete: it would be for the lack of that key.
    """
    heads = {loc[: 2 if loc[1:] and isinstance(loc[1], int) else 1] for loc in faulty}
    incomplete = tuple(f"{file}: {named(head, values)}: " for head in heads)
    try:
        Settings(**without(values, faulty))
    except ValidationError as error:
        for loc, line in found(error, file, Settings, values):
            if loc == () and not line.startswith(incomplete):
                yield line


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            octets = file.read(_FILE_OCTETS + 1)
        if len(octets) > _FILE_OCTETS:
            raise ConfigurationError([f"{path}: is larger than {_FILE_OCTETS} octets"])
        return tomllib.loads(octets.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        raise ConfigurationError([f"{path}: is not UTF-8 text (at line {line})"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{path}: {error}"]) from None
    except RecursionError:
        raise ConfigurationError([f"{path}: brackets within brackets, too deep to read"]) from None


def _strangers(values: dict[str, Any], file: str) -> Iterator[str]:
    """Sections that the library would not see as unknown ones."""
    for key in values:
        if key.startswith("_"):
            yield f"{file}: {key}: {unknown(key, Settings.model_fields)}"
    for name in sorted(os.environ):
        section, delimiter, _ = name.upper().removeprefix(PREFIX).partition(DELIMITER)
        known = section.lower() in Settings.model_fields
        if name.upper().startswith(PREFIX) and delimiter and not known:
            yield f"environment variable {name}: {unknown(section.lower(), Settings.model_fields)}"


def _anchored(settings: Settings, folder: Path) -> Settings:
    """The settings with relative paths made absolute, below the folder of their file."""

    def anchored(section: BaseModel) -> BaseModel:
        changes: dict[str, Any] = {}
        for name in type(section).model_fields:
            value = getattr(section, name)
            changes[name] = (
                tuple(placed(one) for one in value) if isinstance(value, tuple) else placed(value)
            )
        if isinstance(section, StoreSection) and section.url.startswith("sqlite:///"):
            changes["url"] = f"sqlite:///{folder / section.url.removeprefix('sqlite:///')}"
        return section.model_copy(update=changes)

    def placed(value: Any) -> Any:
        if isinstance(value, Path):
            return folder / value
        return anchored(value) if isinstance(value, BaseModel) else value

    return anchored(settings)  # type: ignore[return-value]


def shipped(name: str) -> Path:
    """A folder that comes with Triage: `rules`, `templates` or `fixtures`."""
    package = Path(__file__).parent.parent
    inside = package / "_shipped" / name
    return inside if inside.is_dir() else package.parent / name
