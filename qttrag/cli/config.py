"""`qttrag config show`."""

from __future__ import annotations

from qttrag.cli import output
from qttrag.cli.groups import group
from qttrag.resources import DEFAULT_DEPLOYMENT

app = group("Show deployments.")


@app.command("show")
def show(config: output.Config = DEFAULT_DEPLOYMENT, settings: output.Set = None, as_json: output.Json = False) -> None:
    """Show a deployment with all its settings, from file, environment and flags; secrets are hidden.

    Example: qttrag config show --config server/served.yaml
    """
    import yaml

    from qttrag.config import deployment, yaml_files

    resolved = deployment.load(config, output.pairs(settings, "--set")).model_dump(mode="json")
    shown = yaml_files.hide_secrets(resolved)
    if as_json:
        output.say_json(shown)
    else:
        output.say(yaml.safe_dump(shown, allow_unicode=True, sort_keys=False).rstrip())
