"""docs/archive.md: GNU parallel with two jobs at once here, and over ssh to this
machine where there are sshd and rsync.

usage: archive.py NPUENC_TRANSCRIBE

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import getpass
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import tap

PAGE = tap.ROOT / "docs" / "archive.md"
TOOL = os.path.abspath(sys.argv[1])
MODEL = tap.test_data("models/whisper-tiny.en-f16.safetensors")
CLIP = tap.test_data("audio/lj/LJ001-0002.flac")
ODD = "it's \"odd\" & $HOME.flac"


def commands():
    """The page's: what does the work, and what tells of failures."""
    work, told = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(),
                            re.M | re.S)
    return work, told


def prepare(folder, n):
    if not (MODEL and CLIP):
        raise tap.Skip("there is no whole model or no speech")
    if not shutil.which("parallel"):
        raise tap.Skip("there is no GNU parallel")
    for name in ("a", "b"):
        (folder / "recordings" / name).mkdir(parents=True)
    paths = [folder / "recordings" / "ab"[i % 2] / f"{i // 2}.flac"
             for i in range(n)]
    for path in (*paths, folder / "recordings" / ODD):
        shutil.copy(CLIP, path)
    (folder / "recordings" / "broken.flac").write_text("no sound\n" * 100)
    (folder / "machines").write_text("2/:\n")


def adapt(code, remote=""):
    """The page's command for the machine of the test. A login of its own has not
    this one's environment."""
    code = code.replace("npuenc-transcribe", f"{remote} {TOOL} --threads 1", 1)
    return code.replace("/srv/ggml-base.bin", str(MODEL))


def environment(folder):
    """parallel's notes go into the test's folder, and it asks for no citation."""
    (folder / "parallel").mkdir(exist_ok=True)
    (folder / "parallel" / "will-cite").touch()
    return {**os.environ, "PARALLEL_HOME": str(folder / "parallel"),
            "LC_ALL": "C.UTF-8"}


def run(folder, code, status):
    return tap.command("bash", "-c", code, cwd=folder, status=status,
                       env=environment(folder))


def check_done(folder, n):
    done = sorted((folder / "text").rglob("*.json"))
    assert len(done) == n + 1, done
    for path in done:
        assert "modern" in json.loads(path.read_text())["text"], path
    assert (folder / "text/recordings" / ODD).with_suffix(".json") in done


def does_all(folder):
    """Files of one name in two folders, an odd name, one that is no recording."""
    work, told = commands()
    prepare(folder, 4)
    text = run(folder, adapt(work), 1)
    tap.expect(text, "recordings/broken.flac: ")
    check_done(folder, 4)
    text = run(folder, told, 0)
    assert len(text.splitlines()) == 1 and "broken.flac" in text, text

    text = run(folder, adapt(work), 1)  # once more: only what failed
    assert (folder / "todo").read_text() == "recordings/broken.flac\n"
    (folder / "recordings" / "broken.flac").unlink()
    run(folder, adapt(work), 0)
    check_done(folder, 4)


def goes_on(folder):
    """Killed in the middle, with what it had started."""
    work, _ = commands()
    prepare(folder, 8)
    (folder / "recordings" / "broken.flac").unlink()
    with subprocess.Popen(["bash", "-c", adapt(work)], cwd=folder,
                          env=environment(folder), start_new_session=True,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        while not list((folder / "text").rglob("*.json")):
            assert process.poll() is None, "it ended"
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    before = {path: path.stat().st_mtime_ns
              for path in (folder / "text").rglob("*.json")}
    for path in before:
        json.loads(path.read_text())
    run(folder, adapt(work), 0)
    left = (folder / "todo").read_text().splitlines()
    assert len(left) == 9 - len(before), (left, before)
    check_done(folder, 8)
    assert all(path.stat().st_mtime_ns == then
               for path, then in before.items()), "done twice"


# --- over ssh

def start_sshd(folder):
    """A server for the test alone, with keys of its own, on this machine only.
    (process, port)"""
    sshd = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    if not (sshd and shutil.which("rsync") and shutil.which("ssh")):
        raise tap.Skip("there is no sshd, ssh or rsync")
    for name in ("host", "user"):
        tap.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                    folder / name)
    shutil.copy(folder / "user.pub", folder / "authorized")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\n"
        f"PidFile none\nAuthorizedKeysFile {folder}/authorized\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        "PermitRootLogin prohibit-password\n")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    process = subprocess.Popen([sshd, "-D", "-e", "-f",
                                folder / "sshd_config"],
                               stderr=subprocess.DEVNULL)
    (folder / "ssh").write_text(
        f"#!/bin/sh\nexec ssh -p {port} -i '{folder}/user' -o BatchMode=yes "
        "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
        "-o LogLevel=ERROR \"$@\"\n")
    (folder / "ssh").chmod(0o755)
    for _ in range(100):
        if subprocess.run([folder / "ssh", "127.0.0.1", "true"], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0:
            return process
        time.sleep(0.1)
    process.terminate()
    process.wait()
    raise tap.Skip("sshd lets nobody in here")


def over_ssh(folder):
    """Recordings go there, transcripts come back, nothing stays."""
    work, _ = commands()
    prepare(folder, 2)
    (folder / "recordings" / "broken.flac").unlink()
    sshd = start_sshd(folder)
    there = pathlib.Path.home() / "recordings"
    try:
        if there.exists():
            raise tap.Skip(f"there is a {there}")
        (folder / "machines").write_text(
            f"2/{folder}/ssh {getpass.getuser()}@127.0.0.1\n")
        plugins = os.environ.get("GST_PLUGIN_PATH_1_0") or \
            os.environ.get("GST_PLUGIN_PATH", "")
        run(folder, adapt(work, f"env GST_PLUGIN_PATH_1_0={plugins}"), 0)
    finally:
        sshd.terminate()
        sshd.wait()
    check_done(folder, 2)
    assert not there.exists(), list(there.rglob("*"))


tap.run([(name, tap.in_folder(test)) for name, test in (
    ("the page's commands do an archive, and tell of failures", does_all),
    ("stopped in the middle, it goes on and does nothing twice", goes_on),
    ("over ssh", over_ssh),
)])
