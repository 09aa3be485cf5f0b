"""Privileges are needed to open a packet socket, and for nothing after that: they are given up for good."""

import os
import pwd

from collector.errors import SettingsError


def give_up_root(user: str) -> None:
    """Become `user`, with its groups and nothing else; every capability goes with that (capabilities(7)).

    Does nothing where the process is that user already. Raises SettingsError.
    """
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise SettingsError(f"capture.user: there is no user {user!r}: name one of /etc/passwd, as nobody") from error
    if os.getuid() == os.geteuid() == entry.pw_uid:
        return
    try:
        os.setgroups(os.getgrouplist(user, entry.pw_gid))
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    except PermissionError as error:
        raise SettingsError(
            f"capture.user: only root can become {user!r}: leave the setting out, or begin as root"
        ) from error
    # What is kept from now on is that user's: its state folder is below its home.
    os.environ["HOME"] = entry.pw_dir
