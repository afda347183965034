"""Oakmill's settings: one frozen object, every field with its default and its help."""

from __future__ import annotations

import ipaddress
import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from oakmill.errors import SettingRefused


def _data_home() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"  # noqa: TID251 - the one place that reads it
    return Path(base).expanduser() / "oakmill"


def _config_home() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"  # noqa: TID251 - the one place that reads it
    return Path(base).expanduser() / "oakmill"


def _network(text: str) -> str:
    """A network as it is written everywhere: 10.0.0.7 and 10.0.0.7/8 are 10.0.0.7/32 and 10.0.0.0/8."""
    return str(ipaddress.ip_network(text, strict=False))


_Network = Annotated[str, AfterValidator(_network)]


ISSUER = r"^(https://|http://(localhost|127\.0\.0\.1|\[::1\])[:/])[^?#\s]*$"
"""An issuer's address is encrypted, but on this machine."""


_ADDRESS = r"^https?://[^?#\s]+$"


class Repository(BaseModel):
    """A repository whose CI jobs get keys; `id` is the number that its host gave it, as no new one has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["github", "gitlab"]
    repository: str = Field(pattern=r"^[^/\s]+(/[^/\s]+)+$", max_length=255)
    team: str = Field(min_length=1, max_length=255)
    scope: Literal["read", "convert", "admin"] = "convert"
    ref: str | None = None
    id: str | None = None
    issuer: Annotated[str, Field(pattern=ISSUER, max_length=255)] | None = None

    @property
    def issuer_address(self) -> str:
        """Who signs its jobs' tokens."""
        public = {"github": "https://token.actions.githubusercontent.com", "gitlab": "https://gitlab.com"}
        return self.issuer or public[self.kind]

    @property
    def claim(self) -> str:
        """The claim that names the repository."""
        return {"github": "repository", "gitlab": "project_path"}[self.kind]

    @property
    def id_claim(self) -> str:
        """The claim that holds its number."""
        return {"github": "repository_id", "gitlab": "project_id"}[self.kind]


class Settings(BaseSettings):
    """All settings. Each is also the environment variable OAKMILL_<NAME>, upper-case."""

    model_config = SettingsConfigDict(env_prefix="OAKMILL_", frozen=True, extra="forbid", env_ignore_empty=True)

    home: Path = Field(default_factory=_data_home, description="Folder of toolchains and caches.")
    install_toolchains: bool = Field(
        False,
        description="Whether a command installs a toolchain that it needs and that is missing; ./run switches it on.",
    )
    command: str = Field(
        "oakmill",
        min_length=1,
        description="How this program is called in the commands that pages show; ./run says ./run.",
    )
    accepted_licences: tuple[str, ...] = Field(
        (),
        description="Licences that you accept by their names, for toolchains that are installed at your word alone: "
        '["AGPL-3.0"] for sources/ultralytics, which exports YOLO checkpoints (.pt); "Qualcomm-AI-Stack-License" for '
        "Qualcomm's SDK (rvc4/qairt-2.41.0.251128).",
    )
    pythons: dict[str, Path] = Field(
        default_factory=dict,
        description='Interpreters for toolchains, before all others: {"3.8": "/opt/python3.8/bin/python3.8"}.',
    )
    isolation: Literal["preferred", "required", "off"] = Field(
        "preferred",
        description="Whether vendor tools and looks at uploads run in a sandbox: where one works, always (else "
        "refuse), or never.",
    )
    tool_memory_mb: int = Field(8192, ge=256, description="Memory that a vendor tool's processes may use, in MB.")
    tool_seconds: int = Field(1800, ge=5, description="Time that one run of a vendor tool may take, in seconds.")
    tool_output_mb: int = Field(4096, ge=1, description="Largest file that a vendor tool may write, in MB.")
    tool_total_output_mb: int = Field(
        16384, ge=1, description="All files together that a run of a vendor tool may write, in MB."
    )
    source_max_mb: int = Field(16384, ge=1, description="Largest source model, unpacked, in MB.")
    workers: int = Field(
        0,
        ge=0,
        description="Compiles that run side by side within one conversion; 0 means one for each core.",
    )
    cache_max_mb: int = Field(
        8192,
        ge=0,
        description="Size of the cache of results (the folder `cache` in home), in MB; what was not used for longest "
        "goes first; 0 means none.",
    )
    cache_folder: Path | None = Field(
        None, description="Folder of the cache of results; by default `cache` in home. A hub has one for each team."
    )
    rvc2_libraries: dict[str, Path] = Field(
        default_factory=dict,
        description="Folders with another OpenVINO that has the MyriadX plugin, by IR version: "
        '{"2022.3.0": "/opt/intel/openvino_2022.3/runtime/lib/intel64"}.',
    )
    rvc3_compile_tool: Path | None = Field(
        None,
        description="The vendor's compile_tool with the VPUX plugin, which makes a .blob for RVC3; without it the "
        "result is an IR, not compiled.",
    )
    rvc3_container: Annotated[str, Field(pattern=r"^[a-z0-9][\w./:@-]*$")] | None = Field(
        None,
        description="A container image with the vendor's compile_tool, for RVC3, where there is none of your own: "
        "ghcr.io/luxonis/modelconverter-rvc3:2022.3.0-latest. It is never downloaded by itself.",
    )
    rvc3_container_engine: Literal["docker", "podman"] = Field(
        "docker", description="What runs that image, without a network."
    )
    fetch_from: tuple[str, ...] = Field(
        (),
        description='Where configurations may fetch models and images from: hosts, as ["models.example.com"], buckets, '
        'as ["s3://models"], or ["*"] for all public hosts. By default nothing is fetched.',
    )
    qairt_root: Path | None = Field(
        None,
        description="Folder of your own Qualcomm SDK (QAIRT, SNPE), whose version is then used for RVC4; a "
        "conversion's --qairt-root wins.",
    )
    qairt_source: Annotated[str, Field(pattern=r"^(https?|file)://")] = Field(
        "https://softwarecenter.qualcomm.com/api/download/software/sdks/Qualcomm_AI_Runtime_Community/All/"
        "{version}/v{version}.zip",
        description="Where `oakmill toolchains install rvc4/qairt-VERSION` gets Qualcomm's SDK: this, a mirror, or a "
        "file that you have (file:///path/v2.41.0.251128.zip); {version} stands for the version.",
    )
    openvino_source: Annotated[str, Field(pattern=r"^(https?|file)://")] | None = Field(
        None,
        description="Where `oakmill toolchains install rvc2/openvino-2022.3` gets OpenVINO's archive with the MyriadX "
        "plugin, where no --from says so: file:///path/l_openvino_toolkit_....tgz, or an address.",
    )
    archive_hosts: tuple[str, ...] = Field(
        (),
        description="Names of other hosts that these two sources may redirect a download to; by default there are "
        "none.",
    )
    import_from: tuple[Literal["hubai", "hf"], ...] = Field(
        (),
        description='Places that this hub itself imports models from at its users\' word: ["hubai", "hf"], HubAI and '
        "Hugging Face. By default it imports nothing; `oakmill import` does so on a user's own machine either way.",
    )
    import_hf_url: Annotated[str, Field(pattern=_ADDRESS)] = Field(
        "https://huggingface.co", description="Where models of Hugging Face are imported from: this, or a mirror of it."
    )
    import_hubai_url: Annotated[str, Field(pattern=_ADDRESS)] = Field(
        "https://easyml.cloud.luxonis.com",
        description="Where models of HubAI are imported from: this, or another server that speaks as it does.",
    )
    import_hosts: tuple[Annotated[str, Field(pattern=r"^\.?[a-z0-9][a-z0-9.-]*$")], ...] = Field(
        (".huggingface.co", ".hf.co", ".luxonis.com", "storage.googleapis.com"),
        description='Other hosts that these may lead a download to. ".hf.co" stands for all below it, by https and at '
        "public addresses; one that is named whole may be at any.",
    )
    datasets_source: Annotated[str, Field(pattern=r"^https?://")] = Field(
        "https://storage.googleapis.com/openimages",
        description="Where `oakmill datasets install` gets Open Images' annotations: this, or a mirror of it.",
    )
    datasets_pictures: Annotated[str, Field(pattern=r"^https?://")] = Field(
        "https://open-images-dataset.s3.amazonaws.com",
        description="Where `oakmill datasets install` gets Open Images' images: <split>/<id>.jpg.",
    )
    datasets_max_mb: int = Field(
        4096, ge=1, description="Largest calibration set of your own, unpacked, in MB; a zip given to a conversion too."
    )

    host: str = Field("127.0.0.1", description="Address that `oakmill serve` listens on.")
    port: int = Field(8411, ge=0, le=65535, description="Port that `oakmill serve` listens on; 0 takes a free one.")
    public_url: Annotated[str, Field(pattern=r"^https?://")] | None = Field(
        None, description="The hub's address as its clients see it; links begin with it. By default, as they asked."
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of proxies before the hub, with commas between: 127.0.0.1,10.0.0.0/8. What "
        "they say of a client (X-Forwarded-For, X-Forwarded-Proto) is believed, and what others say of it is not.",
    )
    database: str | None = Field(
        None,
        description="The hub's database: postgresql+psycopg://user:password@host/name; by default SQLite in home.",
    )
    store: str | None = Field(
        None, description="Where the hub keeps files: a folder, or s3://bucket/prefix; by default a folder in home."
    )
    store_options: dict[str, str] = Field(
        default_factory=dict,
        description='What an S3 store is reached with: {"endpoint": "https://...", "access_key_id": "...", '
        '"secret_access_key": "...", "region": "..."}.',
    )
    near_mb: int = Field(
        10_000,
        ge=0,
        description="What each machine keeps of files that it fetched from an S3 store, in MB: jobs of one source "
        "fetch it once; 0 for none.",
    )
    hub_workers: int = Field(
        -1,
        ge=-1,
        description="Worker processes that `oakmill serve` starts; -1 means as many as memory and cores allow.",
    )
    worker_platforms: tuple[str, ...] = Field(
        (), description='Platforms whose jobs a worker takes: ["rvc2", "rvc3"]; by default all.'
    )
    lease_seconds: float = Field(
        60, ge=1, description="Time after which a job is given to another worker when its own is not heard of."
    )
    beat_seconds: float = Field(5, ge=0.1, description="How often a worker is heard of.")
    job_seconds: int = Field(7200, ge=1, description="Time that a whole job of the hub may take, in seconds.")
    job_memory_mb: int = Field(
        0,
        ge=0,
        description="Memory that all processes of a job may use, in MB; 0 means what this machine has for each.",
    )
    upload_max_mb: int = Field(16384, ge=1, description="Largest file that the hub takes, in MB.")
    upload_hours: int = Field(24, ge=1, description="Time that an upload may rest before it is given up, in hours.")
    quick_days: int = Field(
        7, ge=0, description="Time for which quick conversions are there unless they are kept, in days; 0 keeps all."
    )
    trash_days: int = Field(
        30,
        ge=0,
        description="Time for which what was deleted can be restored from the trash, in days; 0 deletes at once.",
    )
    log_days: int = Field(
        90,
        ge=0,
        description="Time for which the logs of jobs that have ended, and what webhooks have told, are kept, in days; "
        "0 keeps them all.",
    )
    audit_days: int = Field(
        365, ge=0, description="Time for which it is kept who did what, in days; 0 keeps it for ever."
    )
    webhook_networks: tuple[_Network, ...] = Field(
        (),
        description='Networks that are not public and that webhooks may go to, also by http: ["10.0.0.0/8"]. By '
        "default they go by https to public addresses alone.",
    )
    webhook_seconds: float = Field(10, gt=0, le=60, description="Time that the receiver of a webhook has to answer.")
    link_seconds: int = Field(3600, ge=1, description="Time that a download link works, in seconds.")
    requests_per_minute: int | None = Field(
        None,
        ge=0,
        description="Requests that a key, or a user by all theirs, may make in a minute; 0 is no limit. By default "
        "1200 where others can reach the hub, and none where it listens to this machine alone.",
    )
    metrics_key: str | None = Field(
        None,
        min_length=16,
        repr=False,
        exclude=True,  # it is handed on to nobody
        description="Key with which monitoring reads /metrics, as a bearer token; it opens nothing else.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="How the hub and its workers write their log: lines for people, or JSON for machines."
    )
    traces: bool = Field(
        False,
        description="Whether requests and jobs are traced by OpenTelemetry: to where its own variables say "
        "(OTEL_EXPORTER_OTLP_ENDPOINT). Needs pip install 'oakmill[otel]'.",
    )
    access_log: bool = Field(False, description="Whether the hub writes a line for each request that it answers.")
    public_without_key: bool = Field(False, description="Whether public models may be read without a key.")

    oidc_issuer: Annotated[str, Field(pattern=ISSUER, max_length=255)] | None = Field(
        None,
        description="Address of the OpenID provider that people sign in at, as it names itself (its issuer): "
        "https://login.example.com. By default people sign in with keys alone.",
    )
    oidc_name: str = Field(
        "your company",
        min_length=1,
        max_length=60,
        description='What the button calls it: "Sign in with your company".',
    )
    oidc_client_id: str = Field("oakmill", min_length=1, description="What that provider calls this hub.")
    oidc_client_secret: str | None = Field(
        None,
        repr=False,
        exclude=True,  # it is handed on to nobody
        description="The secret that it gave this hub; by default none (a public client; PKCE is used either way).",
    )
    oidc_scopes: tuple[str, ...] = Field(
        ("openid", "email", "profile"),
        description='What the hub asks the provider for; some list groups only with one more, as "groups".',
    )
    oidc_groups_claim: str = Field(
        "groups", min_length=1, description="The provider's claim that lists a user's groups."
    )
    oidc_groups: dict[str, Annotated[str, Field(pattern=r"^[^:/]{1,255}:(read|convert|admin)$")]] = Field(
        default_factory=dict,
        description='Whom its groups let in: {"vision-engineers": "robots:convert", "*": "guests:read"}, a team and a '
        'scope for each, "*" for whoever signs in. The first entry that fits decides the team, the strongest entry of '
        "that team the scope. By default nobody is let in.",
    )
    oidc_days: int = Field(
        7, ge=1, le=365, description="Days after which who signed in at the provider has to do so again."
    )
    oidc_hosts: tuple[str, ...] = Field(
        (),
        description="Hosts at private addresses that the provider's discovery document may lead to; its own host may "
        "be at one anyway.",
    )
    ci_repositories: tuple[Repository, ...] = Field(
        (),
        description="Repositories whose CI jobs get a key of 15 minutes for their identity token: "
        '[{"kind": "github", "repository": "acme/models", "team": "vision"}]. Each may say `scope` (convert), `ref`, '
        "`id` (the host's number of it) and, for a host of your own, `issuer`.",
    )

    hub_url: str | None = Field(
        None,
        description="Address of the hub that commands such as `oakmill upload` speak to; by default the one of the "
        "last `oakmill login`.",
    )
    key: str | None = Field(
        None,
        repr=False,
        exclude=True,  # it is handed on to nobody
        description="Key to that hub; by default the one that `oakmill login` has kept.",
    )

    @property
    def hub(self) -> Path:
        """The folder of the hub's own files: database, store, uploads, work, secret."""
        return self.home / "hub"

    @property
    def login(self) -> Path:
        """The file in which `oakmill login` keeps hubs and keys, in the user's config folder."""
        return _config_home() / "hubs.json"

    @property
    def cache(self) -> Path:
        """The folder of the cache of results."""
        return self.cache_folder or self.home / "cache"

    @property
    def datasets(self) -> Path:
        """The folder that holds one sub-folder for each calibration set."""
        return self.home / "datasets"

    @property
    def toolchains(self) -> Path:
        """The folder that holds one sub-folder for each installed toolchain."""
        return self.home / "toolchains"


@lru_cache(maxsize=1)
def current() -> Settings:
    """The settings of this process, read from the environment once.

    Raises:
        SettingRefused: a variable says what its setting does not take.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name, below = str(first["loc"][0]), ".".join(map(str, first["loc"][1:]))
        raise _refused(name, f"{below}: {first['msg']}" if below else first["msg"]) from None
    except SettingsError as error:
        name = next((name for name in Settings.model_fields if f'"{name}"' in str(error)), "")
        raise _refused(name, "it is no JSON") from None


def _refused(name: str, why: str) -> SettingRefused:
    field = Settings.model_fields.get(name)
    variable = f"OAKMILL_{name.upper()}"
    about = (field.description or "") if field else ""
    return SettingRefused(f"The setting {variable} is not valid: {why}.", subject=variable, remedy=about)
