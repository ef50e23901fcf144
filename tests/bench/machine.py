"""What the numbers were measured on, and with."""
import datetime
import os
import pathlib
import platform
import subprocess


def version_of(package):
    done = subprocess.run(["dpkg-query", "-W", "-f=${Version}", package], capture_output=True, text=True)
    return done.stdout or None


def first_line(path, starts):
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(starts):
            return line.partition(":")[2].strip()
    return "?"


def describe(top, packages):
    commit = subprocess.run(["git", "-C", str(top), "-c", "safe.directory=*", "describe", "--always", "--dirty"],
                            capture_output=True, text=True).stdout.strip()
    release = dict(line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().splitlines()
                   if "=" in line)
    compiler = subprocess.run([os.environ.get("CXX", "c++").split()[-1], "--version"], capture_output=True, text=True)
    return {
        "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit,
        "processor": first_line("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": release.get("PRETTY_NAME", "?").strip('"'),
        "kernel": platform.release(),
        "compiler": compiler.stdout.partition("\n")[0],
        "load_before": round(os.getloadavg()[0], 2),
        "packages": {package: version for package in packages if (version := version_of(package))},
    }
