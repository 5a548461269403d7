"""What runs in the guest: POSIX shell and GNU tar, and the records that the two sides exchange.

Out of a guest (``SEND``), each source is the records KIND and NAME, each ended by a NUL, and a tar
archive; or ``error`` and the words of the guest; at the end ``done``. Into a guest (``RECEIVE``),
the guest first says on one line what is at the destination; then the host chooses, on one line::

    into            extract into the destination, a directory
    beside          extract into the directory that the destination is in
    beside TOKEN    the same, then give the file called TOKEN the destination's name
    write           write the file's content into the destination
    unpack          as "into", with the owners that the archive names

and an archive follows. Each variable is quoted, so names may hold anything.
"""

from collections.abc import Sequence

from cli.guest.transfer.plan import CopyTarget, TargetKind
from shared.errors import BangerError, Code

_TAR = "T=tar; [ ! -x /run/banger/tools/bin/tar ] || T=/run/banger/tools/bin/tar"
"""An image that has no GNU tar has the one of the kernel's tools (docs/images.md)."""
_CREATE = (
    "$T -c -b 64 --format=pax --pax-option=delete=atime,delete=ctime --sparse "
    "--xattrs --xattrs-include='user.*' -f -"
)
# Status 1: a file changed while it was read, as logs do.
_SEND_ONE = rf"""
export LC_ALL=C; {_TAR}
archive() {{ {_CREATE} "$@"; s=$?; [ $s -le 1 ] || f=1; }}
say() {{ [ "$raw" ] || printf '%s\000%s\000' "$1" "$2"; }}
refuse() {{ if [ "$raw" ]; then printf '%s\n' "$2" >&2; else say "$1" "$2"; fi; f=1; }}
send() {{
  p=$1; t=$p
  while [ "$t" != "${{t%/}}" ]; do t=${{t%/}}; done
  b=${{t##*/}}; d=./
  case $t in */*) d=${{t%/*}}/;; esac
  case $b in ''|.|..)
    if [ -d "$p" ]; then say contents ''; archive -C "$p" .
    else absent "$p"; fi; return;;
  esac
  l=; if [ -L "$t" ] && [ "$p" = "$t" ] && [ -z "$follow" ]; then l=1; fi
  if [ "$l" ]; then say link "$b"; archive -C "$d" -- "./$b"
  elif [ -d "$t" ] && [ -L "$t" ]; then say followed "$b"; archive -C "$t/" .
  elif [ -d "$t" ]; then say dir "$b"; archive -C "$d" -- "./$b"
  elif [ "$p" != "$t" ]; then absent "$p"
  elif [ -f "$t" ]; then say file "$b"; archive -h -C "$d" -- "./$b"
  elif [ -e "$t" ]; then refuse special "$p"
  else absent "$p"; fi
}}
absent() {{ refuse error "$(ls -d -- "$1" 2>&1 >/dev/null | head -c 2000)"; }}
f=; follow=$1; raw=$2; glob=$3; shift 3
"""
SEND = (
    _SEND_ONE
    + r"""
for p do
  if [ "$glob" ]; then
    IFS=
    for e in $p; do
      if [ -e "$e" ] || [ -L "$e" ]; then send "$e"; else absent "$e"; fi
    done
  else send "$p"; fi
done
say done ''
[ -z "$f" ]
"""
)

_EXTRACT = "$T -x -b 256 -p --no-overwrite-dir --warning=no-timestamp --warning=no-unknown-keyword"
_OURS = f"{_EXTRACT} --no-same-owner --xattrs --xattrs-include='user.*' -f -"
_THEIRS = f"{_EXTRACT} --numeric-owner --xattrs --xattrs-include='user.*' -f -"

RECEIVE = rf"""
export LC_ALL=C; {_TAR}
kind() {{
  if [ -d "$1" ]; then k=dir; elif [ -f "$1" ]; then k=file; elif [ -e "$1" ]; then k=special
  elif [ -L "$1" ]; then k=dangling; else k=absent; fi
}}
# That the directory is there has been looked at; a shell's own words give no reason.
enter() {{ cd -- "$1" 2>/dev/null || {{ echo "$1: Permission denied" >&2; exit 1; }}; }}
p=${{1:-.}}; space=$2; shift 2
t=$p
while [ "$t" != "${{t%/}}" ] && [ "$t" != / ]; do t=${{t%/}}; done
if [ -L "$t" ] && [ -f "$t" ]; then t=$(readlink -f -- "$t"); fi
d=./
case $t in */*) d=${{t%/*}}/;; esac
b=${{t##*/}}
kind "$t"; facts=$k
e=${{d%/}}; kind "${{e:-/}}"; facts="$facts $k"
w=$d; [ -d "$t" ] && w=$t/
free=
if [ "$space" ]; then free=$(df -Pk -- "$w" 2>/dev/null | tail -n 1 | awk '{{print $4}}'); fi
facts="$facts ${{free:--}}"
for n do
  kind "$t/$n"; [ -L "$t/$n" ] && k=file
  facts="$facts $k"
done
echo "$facts"
read -r way token || exit 0
case $way in
into) enter "$t/"; exec {_OURS};;
unpack) enter "$t/"; exec {_THEIRS};;
write) {_OURS} -O >"$t";;
beside)
  enter "$d"
  [ "$token" ] || exec {_OURS}
  trap 'rm -f "./$token"; exit 3' HUP INT TERM PIPE
  {_OURS} && mv -f -- "./$token" "./$b"
  s=$?; [ $s = 0 ] || rm -f "./$token"
  exit $s;;
esac
"""

FACTS_LIMIT = 1 << 16


def send_argv(paths: Sequence[str], *, follow: bool, raw: bool, glob: bool) -> list[str]:
    """The guest's command that sends ``paths``; ``raw``: archives alone, for a person's pipe.

    ``glob``: patterns of glob(7), which the guest's shell expands.
    """
    flags = ["x" if flag else "" for flag in (follow, raw, glob)]
    return ["sh", "-c", SEND, "sh", *flags, *paths]


def receive_argv(path: str, names: Sequence[str], *, space: bool) -> list[str]:
    """The guest's command that takes files to ``path``; ``names`` are those of the sources.

    ``space``: ask for the free space too, which takes a moment.
    """
    return ["sh", "-c", RECEIVE, "sh", path, "x" if space else "", *names]


def target_of(line: bytes, path: str, names: Sequence[str]) -> tuple[CopyTarget, int | None]:
    """The destination that a guest's line describes, and the bytes that are free there.

    Raises:
        BangerError: ``guest_failed`` when the line is not of that form.
    """
    words = line.decode("ascii", "replace").split()
    try:
        kind, parent, free, *inside = words
        kinds = [TargetKind(word) for word in (kind, parent, *inside)]
    except ValueError:
        raise BangerError(
            Code.GUEST_FAILED,
            "the guest's shell did not say what is at the destination",
            hint="check whether the guest works: banger vm health",
        ) from None
    there = dict(zip(names, kinds[2:], strict=False))
    target = CopyTarget(path, kinds[0], kinds[1], there)
    return target, int(free) * 1024 if free.isdigit() and len(free) < 16 else None
