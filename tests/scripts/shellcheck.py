"""Every shell script passes shellcheck.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import shutil

import tap


def check(script):
    def run():
        if not shutil.which("shellcheck"):
            raise tap.Skip("there is no shellcheck")
        tap.command("shellcheck", "-x", script, cwd=script.parent)
    return run


SCRIPTS = [*sorted(tap.ROOT.glob("kernels/**/*.sh")),
           *sorted(tap.ROOT.glob("pipelines/*.sh")),
           *sorted(tap.ROOT.glob("tests/**/*.sh")), tap.ROOT / ".ci/run"]
tap.run([(str(script.relative_to(tap.ROOT)), check(script))
         for script in SCRIPTS])
