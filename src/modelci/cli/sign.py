"""``modelci sign``."""

import click

from modelci.wiring import App


@click.command()
@click.argument("name")
@click.option(
    "--pull", is_flag=True, help="Hash what the DVC remote has now, whatever the cache holds."
)
@click.option("--json", "as_json", is_flag=True, help="Print the model-signing document.")
@click.pass_obj
def command(app: App, name: str, pull: bool, as_json: bool) -> None:
    """Sign a version's bytes, for whoever deploys it to verify.

    Every file of the model is read and hashed, held against dvc.lock and the tag, and signed as
    OpenSSF's model-signing does: by signing.private_key, by it and a certificate, or by the job's
    identity for Sigstore. The signature names the version's tag, and is kept beside it on the Git
    remote, at a ref of its own that nobody moves. Run again, it is left as it is.

    Needs `pip install 'modelci[signing]'`. Whose signatures count, signing.trusted of the default
    branch says; one of anybody else is refused here, with exit code 6.

    \b
    Examples:
      modelci sign credit@v1.2.0
      modelci sign 'credit#prod' --pull
      MODELCI_SIGNING_PRIVATE_KEY=~/model.pem modelci sign credit@latest
    """  # noqa: D301
    from modelci.cli.output import print_document

    signed = app.signing.signer.sign(name, progress=app.progress, pull=pull)
    print_document(signed, as_json=as_json)
