"""triage.toml and the environment to Settings, with every fault named by its key."""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from collections.abc import Iterator
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
from triage.settings.faults import DELIMITER, PREFIX, Loc, found, named, unknown, without
from triage.settings.health import AlarmSection, HealthSection, HttpSection
from triage.settings.sections import (
    BudgetsSection,
    CatalogSection,
    ConfigurationError,
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
from triage.tenant import Tenants, my_domain

_FILE_OCTETS = 10_000_000


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
    support: SupportSection
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
        faults = [*self._incomplete(), *self._doubles(), *self._claims(), *self._loops()]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _incomplete(self) -> Iterator[str]:
        for mailbox in self.mailboxes:
            yield from (f"mailboxes.{mailbox.name}: {fault}" for fault in mailbox.faults())
        yield from (f"smtp: {fault}" for fault in self.smtp.faults())
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
        owners: dict[tuple[str, str], str] = {}
        for tenant in self.tenants:
            claims = {
                "org_ids": tenant.org_ids,
                "my_domains": tuple(my_domain(host) for host in tenant.my_domains),
                "domains": tenant.domains,
                "agent_connect": tenant.agent_connect,
                "sending_domains": tenant.sending_domains,
                "contacts": tuple(contact.address for contact in tenant.contacts),
            }
            for key, values in claims.items():
                for value in dict.fromkeys(values):
                    owner = owners.setdefault((key, value), tenant.name)
                    if owner != tenant.name:
                        yield f"tenants.{tenant.name}.{key}: {value} is {owner}'s already"

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
        for key, addresses in self._readers().items():
            for address in dict.fromkeys(addresses):
                if named := own.get(address) or own.get(untagged(address)):
                    yield (
                        f"{key}: {address} is also {named}: Triage would answer itself; "
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


def untagged(address: str) -> str:
    """The address without a tag: what comes for `errors+x@` lands in the mailbox of `errors@`."""
    local, at, domain = address.rpartition("@")
    return f"{local.partition('+')[0]}{at}{domain}"


def load(path: Path) -> Settings:
    """The settings of a file. ConfigurationError names every fault at once.

    Relative paths in the file are below its folder. How keys go together is judged as soon as
    all that are needed are there.
    """
    values = _read(path)
    faults = dict.fromkeys(_strangers(values, str(path)))
    # Names with an underscore in front would be taken for options of the settings library.
    values = {key: value for key, value in values.items() if not key.startswith("_")}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        single = list(found(error, str(path), Settings, values))
        faults |= dict.fromkeys(line for _, line in single)
        faults |= dict.fromkeys(_together(values, {loc for loc, _ in single}, str(path)))
    if faults:
        raise ConfigurationError(list(faults))
    return _anchored(settings, path.resolve().parent)


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
