"""What `modelci serve` takes: the model, and how to answer."""

from typing import TYPE_CHECKING

from modelci.errors import UsageError

if TYPE_CHECKING:
    from modelci.config.model import RequestLogConfig
    from modelci.serving.settings import LogSettings, Settings
    from modelci.wiring.app import App
    from modelci.workflows.servable import Servable


class Serving:
    def __init__(self, app: "App") -> None:
        self._app = app

    @property
    def settings(self) -> "Settings":
        """What the configuration says of serving, as servers are told; who may ask is in it."""
        from modelci.adapters.ci import serve_token
        from modelci.config.model import parse_bytes
        from modelci.serving.settings import Settings

        config = self._app.config_anywhere.serve
        token, file = serve_token(), config.token_file
        settings = Settings(
            max_body=int(parse_bytes(config.max_body)),
            max_rows=config.max_rows,
            timeout_seconds=config.timeout_seconds,
            drain_seconds=config.drain_seconds,
            threads=config.threads,
            onnx=config.onnx,
            token_file=None if file is None else self._app.below_top(file),
            log=self._log_settings(config.log),
        )
        return settings.with_tokens(*([token] if token else []))

    def _log_settings(self, log: "RequestLogConfig") -> "LogSettings | None":
        from modelci.config.model import parse_bytes
        from modelci.serving.settings import LogSettings

        if log.path is None:
            return None
        return LogSettings(
            path=self._app.below_top(log.path),
            sample=log.sample,
            format=log.format.value,
            max_bytes=int(parse_bytes(log.max_bytes)),
            keep=log.keep,
        )

    def servable(self, name: str | None, *, pull: bool) -> "Servable":
        """Return the model that `modelci serve` is asked for, and see that it is here."""
        from modelci.adapters.dvc.bringing import FileBringer
        from modelci.workflows.servable import find_servable, take_file

        file = None if name is None else self._app.at(name)
        is_inside = file is None or (
            self._app.top is not None and file.is_relative_to(self._app.top)
        )
        if file is not None and file.is_file() and not is_inside:
            return take_file(file)
        if file is not None and self._app.top is None:
            raise UsageError(
                f"There is no file {file}, and no repository around it.",
                hint="Name a model's file or a release's folder, or go into a repository.",
            )
        return find_servable(
            name,
            here=self._app.at(".").relative_to(self._app.git.root).as_posix(),
            git=self._app.git,
            reader=self._app.snapshots,
            bring=FileBringer(
                self._app.locator, self._app.git.root, self._app.folder / "served", pull=pull
            ),
            config=self._app.configuration.config,
        )
