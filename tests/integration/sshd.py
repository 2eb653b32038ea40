"""An SSH server on loopback that runs commands: ``python sshd.py FOLDER`` prints its port.

FOLDER receives the only key that it lets in.
"""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import asyncssh


async def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Run a command until it ends, or the client is gone."""
    child = await asyncio.create_subprocess_shell(
        process.command or "true",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
    ends = {asyncio.create_task(child.wait()), asyncio.create_task(process.wait_closed())}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
    process.exit(await child.wait())


async def main(folder: Path) -> None:
    """Serve until killed."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(folder / "key"))
    key.write_public_key(str(folder / "key.pub"))
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        authorized_client_keys=str(folder / "key.pub"),
        process_factory=run,
        encoding=None,
    )
    print(server.get_port(), flush=True)  # noqa: T201
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
