"""Root is given up for good: no capability, no group and no way back is left."""

import os
import pwd
import subprocess
import sys

import pytest

from collector.errors import SettingsError
from collector.privileges import give_up_root
from tests.house.tree import ROOT

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
PROGRAM = """
import os, socket
from collector.privileges import give_up_root
give_up_root("nobody")
print(os.getresuid(), os.getresgid(), os.getgroups(), os.environ["HOME"])
print([line.split()[1] for line in open("/proc/self/status") if line.startswith(("CapPrm", "CapEff"))])
for attempt in (lambda: os.setuid(0), lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)):
    try:
        attempt()
        print("got it")
    except PermissionError:
        print("refused")
"""


def in_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.root
@needs_root
def test_after_giving_up_root_nothing_of_it_is_left() -> None:
    ran = in_python(PROGRAM)
    ids, capabilities, *attempts = ran.stdout.splitlines()
    nobody = pwd.getpwnam("nobody")
    uids, gids = (nobody.pw_uid,) * 3, (nobody.pw_gid,) * 3
    assert ids == f"{uids} {gids} [{nobody.pw_gid}] {nobody.pw_dir}"
    assert capabilities == "['0000000000000000', '0000000000000000']" and attempts == ["refused", "refused"]


def test_a_user_that_there_is_not_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"capture\.user: there is no user 'nosuchuser'"):
        give_up_root("nosuchuser")


@pytest.mark.root
@needs_root
def test_only_root_can_become_somebody() -> None:
    become = "import os\nfrom collector.privileges import give_up_root\nos.setresuid(65534, 65534, 65534)\n"
    ran = in_python(become + "give_up_root('daemon')")
    assert "SettingsError: capture.user: only root can become 'daemon'" in ran.stderr
