"""triage.toml and the environment to Settings, with every fault named by its key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from triage.mail.authenticity import Trust
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


class Settings(BaseSettings):
    """All of triage.toml. The environment overrides scalars: TRIAGE_POLICY__SHADOW=false."""

    model_config = SettingsConfigDict(
        env_prefix="TRIAGE_", env_nested_delimiter="__", extra="forbid", frozen=True
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
    log: LogSection = LogSection()
    limits: LimitsSection = LimitsSection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file; nothing else is read."""
        return env_settings, init_settings

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        faults = [*self._doubles(), *self._loops()]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _doubles(self) -> Iterator[str]:
        owners: dict[tuple[str, str], str] = {}
        for tenant in self.tenants:
            claims = {
                "name": (tenant.name,),
                "org_ids": tenant.org_ids,
                "my_domains": tuple(my_domain(host) for host in tenant.my_domains),
                "domains": tenant.domains,
                "agent_connect": tuple(sub.lower() for sub in tenant.agent_connect),
                "sending_domains": tenant.sending_domains,
                "contacts": tuple(c.address for c in tenant.value().contacts),
            }
            for key, values in claims.items():
                for value in values:
                    owner = owners.setdefault((key, value), tenant.name)
                    if owner != tenant.name or (key, value) == ("name", ""):
                        yield f"tenants: {key}: {value} stands in {owner} and in {tenant.name}"
        for what, names in (
            ("mailboxes", [m.name for m in self.mailboxes]),
            ("tenants", [t.name for t in self.tenants]),
        ):
            for name in sorted({n for n in names if names.count(n) > 1}):
                yield f"{what}: name: {name} stands there twice"

    def _loops(self) -> Iterator[str]:
        own = {self.smtp.from_address: "smtp.from", self.smtp.bounce_address: "smtp.bounce_address"}
        for mailbox in self.mailboxes:
            own |= dict.fromkeys(mailbox.addresses, f"mailboxes.{mailbox.name}.addresses")
        readers = {
            "support.contacts": self.support.contacts,
            "digest.recipients": self.digest.recipients,
        } | {
            f"tenants.{t.name}.contacts": tuple(c.address for c in t.value().contacts)
            for t in self.tenants
        }
        for key, addresses in readers.items():
            for address in addresses:
                if address in own:
                    yield (
                        f"{key}: {address} is also {own[address]}: Triage would answer itself; "
                        "name an address that Triage neither watches nor sends from"
                    )

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


def load(path: Path) -> Settings:
    """The settings of a file. ConfigurationError names every fault at once.

    Relative paths in the file are below its folder.
    """
    try:
        text = path.read_bytes().decode()
        values = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{path}: is not UTF-8 text"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{path}: {error}"]) from error
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise ConfigurationError(list(_named(error, path, Settings))) from error
    except SettingsError as error:
        raise ConfigurationError([f"environment: {error}"]) from error
    return _anchored(settings, path.resolve().parent)


def _named(error: ValidationError, path: Path, model: type[BaseModel]) -> Iterator[str]:
    faults = error.errors(include_url=False, include_input=False)
    faulty = {fault["loc"][:1] for fault in faults if len(fault["loc"]) > 1}
    for fault in faults:
        if fault["type"] == "too_short" and fault["loc"] in faulty:
            continue  # the list only looks empty because its entries have faults of their own
        key = ".".join(str(part) for part in fault["loc"]) or "settings"
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            allowed = _allowed(model, fault["loc"][:-1])
            near = get_close_matches(str(fault["loc"][-1]), allowed, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            message = f"unknown key; {hint}allowed: {', '.join(allowed)}"
        elif fault["type"] == "missing":
            message = "is missing"
        for line in message.splitlines():
            yield f"{path}: {line}" if key == "settings" else f"{path}: {key}: {line}"


def _allowed(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """The keys that the section at `loc` accepts."""
    schema: Mapping[str, Any] = model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    place: Mapping[str, Any] = schema
    for part in loc:
        found = place.get("properties", {}).get(part, {}) if isinstance(part, str) else place
        branches = [found, found.get("items", {}), *found.get("anyOf", ())]
        branches += [branch.get("items", {}) for branch in found.get("anyOf", ())]
        names = [b["$ref"].rpartition("/")[2] for b in branches if "$ref" in b]
        place = definitions[names[0]] if names else (place if isinstance(part, int) else found)
    return sorted(place.get("properties", {}))


def _anchored(settings: Settings, folder: Path) -> Settings:
    """The settings with relative paths made absolute, below the folder of their file."""

    def anchored(section: BaseModel) -> BaseModel:
        changes: dict[str, Any] = {}
        for name in type(section).model_fields:
            value = getattr(section, name)
            if isinstance(value, Path):
                changes[name] = folder / value
            elif isinstance(value, BaseModel):
                changes[name] = anchored(value)
            elif isinstance(value, tuple):
                changes[name] = tuple(
                    folder / v
                    if isinstance(v, Path)
                    else anchored(v)
                    if isinstance(v, BaseModel)
                    else v
                    for v in value
                )
        url = getattr(section, "url", "")
        if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
            changes["url"] = f"sqlite:///{folder / url.removeprefix('sqlite:///')}"
        return section.model_copy(update=changes)

    return anchored(settings)  # type: ignore[return-value]


def shipped(name: str) -> Path:
    """A folder that comes with Triage: `rules`, `templates` or `fixtures`."""
    package = Path(__file__).parent.parent
    inside = package / "_shipped" / name
    return inside if inside.is_dir() else package.parent / name
