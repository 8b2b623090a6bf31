"""The files of the project, as the checks see them: what git knows or would take in; without git, everything that is not built."""
import pathlib
import subprocess
import sys

FOLDERS = ("base", "wire", "state", "attribution", "policy", "learner", "evaluate", "client", "log", "consumer", "cmd")
NOT_OURS = {".git", ".cache", "build", "target", "__pycache__"}


def files(root, *suffixes):
    """Paths relative to root, sorted; all of them, or those whose names end with one of the suffixes."""
    root = pathlib.Path(root)
    names = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"],
                           capture_output=True, text=True, check=False) if (root / ".git").exists() else None
    if names and names.returncode == 0:
        found = {pathlib.PurePosixPath(n) for n in names.stdout.split("\0") if n}
    else:
        found = {pathlib.PurePosixPath(p.relative_to(root).as_posix()) for p in root.rglob("*") if p.is_file()}
    found = {p for p in found if not NOT_OURS.intersection(p.parts) and (root / p).is_file()}
    return sorted(p for p in found if not suffixes or p.name.endswith(suffixes))


def report(problems, checked):
    """Prints the problems, then one line. Returns the exit code: also 1 when there was nothing to check."""
    for p in problems:
        print(p)
    empty = [what for what, n in checked.items() if n == 0]
    for what in empty:
        print(f"no {what} were found: the check looked at nothing")
    print(f"{len(problems)} problems in " + ", ".join(f"{n} {what}" for what, n in checked.items()))
    return 1 if problems or empty else 0


if __name__ == "__main__":  # tree.py PATTERN...: for a tree without git
    patterns = sys.argv[1:] or ["*"]
    for path in files(pathlib.Path(__file__).resolve().parents[2]):
        if any(path.match(pattern) or str(path).startswith(pattern.rstrip("/") + "/") for pattern in patterns):
            print(path)
