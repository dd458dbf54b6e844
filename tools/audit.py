"""Look for advisories on locked packages, and say so where nobody could be asked.

    python tools/audit.py requirements.lock

Exit code 1 where a package has an advisory. pip-audit alone exits with 0 where the service knows
none of the packages, which a network without it looks like.
"""

import json
import subprocess  # nosec B404  # runs pip-audit of this environment alone
import sys

LOUD = "!" * 72


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    command = [sys.executable, "-m", "pip_audit", "--requirement", sys.argv[1], "--format", "json"]
    command += ["--disable-pip", "--progress-spinner", "off"]
    try:
        done = subprocess.run(  # nosec B603  # no shell, and the arguments are ours
            command, capture_output=True, text=True, timeout=300, check=False
        )
        packages = json.loads(done.stdout)["dependencies"]
        reason = "it knows none of the packages"
    except subprocess.TimeoutExpired:
        packages, reason = [], "it does not answer"
    except (ValueError, KeyError):
        packages, reason = [], (done.stderr.strip().splitlines() or ["pip-audit failed"])[-1]
    asked = [one for one in packages if "vulns" in one]
    missed = [one["name"] for one in packages if "vulns" not in one]
    found = [(one, advisory) for one in asked for advisory in one["vulns"]]
    for one, advisory in found:
        fixed = ", ".join(advisory["fix_versions"]) or "no version"
        print(f"{one['name']} {one['version']}: {advisory['id']}, fixed in {fixed}")
    if found:
        sys.exit(f"{len(found)} advisories")
    if not asked:
        print(f"{LOUD}\nSKIPPED: no advisory was looked up, the service cannot be used: {reason}")
        print(f"Nothing is known of the safety of these packages.\n{LOUD}")
        return
    if missed:
        print(f"{LOUD}\nSKIPPED: the service does not know {', '.join(missed)}\n{LOUD}")
    print(f"{len(asked)} packages without an advisory")


if __name__ == "__main__":
    main()
