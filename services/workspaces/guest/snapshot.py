"""What runs in the guest to let a workspace out: POSIX shell, git and awk.

It takes the work tree as it is, new files included and ignored ones not, into a tree. The index
that it works with is a copy beside the real one, and new objects go into a directory of their own,
both removed afterwards; so HEAD, index, refs and objects of the guest's repository stay as they
are. Leftovers of a run that was killed are removed by the next.

The answer is lines of a key and a value, an empty line, and one pack (gitformat-pack(5))::

    tree OID        the work tree
    prepared OID    the tree that the host has placed; absent when the guest has lost it
    head OID        the commit that is checked out; absent before the first one
    branch NAME     absent when HEAD is detached
    commits N       made since the commit that was prepared
    rewritten x     that commit is not in the branch any more
    left NAME       of a directory that git cannot take: a repository without commits

or the one line ``refused KIND`` (``git``, ``path``, ``repository``, ``failed``) and the words of the
guest's git. The host takes none of it for granted (services/workspaces/incoming).

The file banger/unconverted in the git directory names the files that a filter of the host, such as
Git LFS, has made: lines ``RAW OID<tab>PATH``, the path quoted as git-ls-files(1) does. As long as
such a file has the content RAW, the tree has the blob OID for it, as the host's commit does.
"""

from collections.abc import Sequence
from enum import StrEnum


class Sent(StrEnum):
    """Which objects the pack holds."""

    FILES = "files"
    """Those of the two trees that the prepared commit does not have."""
    COMMITS = "commits"
    """And the commits made since."""
    WHOLE = "whole"
    """The two trees, and the prepared commit's, as a host that has lost its own needs them."""


SNAPSHOT = r"""
export LC_ALL=C GIT_OPTIONAL_LOCKS=0 GIT_TERMINAL_PROMPT=0 GIT_NO_REPLACE_OBJECTS=1
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR GIT_NAMESPACE \
  GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS GIT_TRACE GIT_CONFIG
umask 077
path=$1; base=$2; sent=$3
refuse() { printf 'refused %s\n' "$1"; printf '%s' "$2" | head -c 2000; exit 0; }
g() {
  git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.splitIndex=false \
    -c core.quotePath=true -c core.safecrlf=false -c core.bigFileThreshold=16m -c gc.auto=0 \
    -c add.ignoreErrors=false -c advice.addEmbeddedRepo=false -c submodule.recurse=false \
    -c pack.windowMemory=64m -c pack.compression=1 -c color.ui=false "$@"
}
command -v git >/dev/null 2>&1 || refuse git
cd -- "$path" 2>/dev/null || refuse path
export GIT_CEILING_DIRECTORIES="${path%/*}/"
[ -e .git ] || refuse repository
found=$(g rev-parse --show-cdup --git-dir 2>&1) || refuse repository "$found"
case $found in "
"?*) ;; *) refuse repository;; esac
dir=${found#?}
[ -d "$dir/banger" ] || mkdir -- "$dir/banger" || refuse failed "cannot write to $dir"
for old in "$dir"/banger/snapshot.*; do
  [ -d "$old" ] && ! kill -0 "${old##*.}" 2>/dev/null && rm -rf -- "$old"
done
own=$dir/banger/snapshot.$$
trap 'rm -rf -- "$own"; rmdir -- "$dir/banger" 2>/dev/null' EXIT
trap 'exit 3' HUP INT TERM PIPE
mkdir -p -- "$own/objects" || refuse failed "cannot write to $dir"
objects=$(g rev-parse --git-path objects)
case $objects in /*) ;; *) objects=$PWD/$objects;; esac
case $objects in *[:\"]*) ;; *)  # the variable's own separator and quote
  case $dir in /*) new=$own/objects;; *) new=$PWD/$own/objects;; esac
  export GIT_OBJECT_DIRECTORY="$new" GIT_ALTERNATE_OBJECT_DIRECTORIES="$objects";;
esac
if [ -f "$dir/index" ]; then
  cp -p -- "$dir/index" "$own/index" || refuse failed "the guest's disk is full"
fi
export GIT_INDEX_FILE="$own/index"

if g ls-files -v 2>/dev/null | grep -q '^[a-z]'; then
  g update-index -q --really-refresh >/dev/null 2>&1
fi
sparse=; if g ls-files -t 2>/dev/null | grep -q '^S '; then sparse=x; fi
add() {
  if [ "$sparse" ] && g -c core.sparseCheckout=true add -A --sparse "$@" 2>"$own/said"; then
    return
  fi
  g add -A "$@" 2>"$own/said"
}
left=
if ! add .; then
  unborn=' does not have a commit checked out$'
  grep -q "$unborn" "$own/said" || refuse failed "$(tail -c 2000 "$own/said")"
  add --ignore-errors .
  if grep '^error: ' "$own/said" |
    grep -v -e "$unborn" -e '^error: unable to index file ' | grep -q .
  then refuse failed "$(tail -c 2000 "$own/said")"; fi
  left=$(sed -n "s/^error: '\(.*\)\/'$unborn/left \1/p" "$own/said")
  left=${left:-left ?}
fi
if [ -s "$dir/banger/unconverted" ]; then
  g ls-files -s | awk -F '\t' '
    NR == FNR { split($1, o, " "); put[o[1] FS $2] = o[2]; next }
    { split($1, m, " "); k = m[2] FS $2; if (k in put) print m[1] " " put[k] FS $2 }
  ' "$dir/banger/unconverted" - | g update-index --index-info ||
    refuse failed "cannot take back what a filter of the host has made"
fi
tree=$(g write-tree 2>&1) || refuse failed "$tree"

facts=$(printf '%s\n' 'HEAD^{commit}' 'refs/banger/prepared^{tree}' "${base:-none}^{tree}" |
  g cat-file --batch-check='x %(objectname)')
known() { printf '%s\n' "$facts" | sed -n "$1{s/^x \([0-9a-f]*\)\$/\1/p;}"; }
head=$(known 1); prepared=$(known 2); commit=$(known 3)
branch=$(g symbolic-ref -q HEAD); branch=${branch#refs/heads/}
commits=0; rewritten=
if [ "$head" ]; then
  if [ -z "$base" ]; then commits=$(g rev-list --count "$head")
  else
    [ "$commit" ] && commits=$(g rev-list --count "$head" "^$base")
    g merge-base --is-ancestor "$base" "$head" 2>/dev/null || rewritten=x
  fi
elif [ "$base" ]; then rewritten=x
fi
for pair in "tree $tree" "prepared $prepared" "head $head" "branch $branch" "commits $commits" \
  "rewritten $rewritten"; do
  case $pair in *' ') ;; *) printf '%s\n' "$pair";; esac
done
[ -z "$left" ] || printf '%s\n' "$left" | head -n 100
echo
{
  echo "$tree"
  [ -z "$prepared" ] || echo "$prepared"
  if [ "$sent" = whole ]; then [ -z "$commit" ] || echo "$commit"
  else
    [ -z "$commit" ] || echo "^$commit"
    if [ "$sent" = commits ] && [ "$head" ]; then
      echo "$head"; [ -z "$commit" ] || echo "^$base"
    fi
  fi
} | g pack-objects --revs --stdout -q --delta-base-offset
"""


def snapshot_arguments(guest_path: str, base: str, sent: Sent = Sent.FILES) -> Sequence[str]:
    """Of the script: the workspace, and the commit that was prepared or ""."""
    return [guest_path, base, sent.value]
