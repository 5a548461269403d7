# Takes a workspace as it is into a tree, and sends it; POSIX shell, awk, cut, grep, head, sed, sort,
# tail, tr and git.
#
#   $1 path    of the repository
#   $2 base    the commit that was prepared; empty for none
#   $3 sent    which objects: see Sent in snapshot.py
#
# HEAD, index, refs and objects of the repository stay as they are: the index is a copy beside the
# real one, and new objects go into a directory beside it. Both are removed at the end, and leftovers
# of a run that was killed by the next.

export LC_ALL=C GIT_ATTR_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 GIT_OPTIONAL_LOCKS=0 \
    GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_NO_REPLACE_OBJECTS=1
unset GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR GIT_NAMESPACE \
    GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS GIT_CONFIG
umask 077
path=$1 base=$2 sent=$3

refuse() { printf 'refused %s\n' "$1"; printf '%s' "$2" | head -c 2000; exit 0; }
git_() {
    git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.splitIndex=false \
        -c core.quotePath=true -c core.safecrlf=false -c core.bigFileThreshold=16m -c gc.auto=0 \
        -c core.fsync=none -c add.ignoreErrors=false -c advice.addEmbeddedRepo=false \
        -c submodule.recurse=false -c pack.windowMemory=64m -c pack.compression=1 \
        -c color.ui=false "$@"
}

command -v git >/dev/null || refuse git
cd -- "$path" 2>/dev/null || refuse path
[ -d .git ] || refuse repository
top=$PWD ours=$PWD/.git/banger
export GIT_DIR="$top/.git"
made=
if [ ! -d "$ours" ]; then
    mkdir -- "$ours" 2>/dev/null || refuse failed "cannot write to $ours"
    made=x
fi
for old in "$ours"/snapshot-*; do
    [ ! -d "$old" ] || kill -0 "${old##*-}" 2>/dev/null || rm -rf -- "$old"
done
own=$ours/snapshot-$$
trap 'rm -rf -- "$own"; [ -z "$made" ] || rmdir -- "$ours" 2>/dev/null' EXIT
trap 'exit 3' HUP INT TERM PIPE
mkdir -p -- "$own/objects" || refuse failed 'the disk of the guest is full'
# A directory whose name has the separator or the quote of the variable gets the objects itself.
case $top in
*[:\"]*) ;;
*)
    export GIT_OBJECT_DIRECTORY="$own/objects" GIT_ALTERNATE_OBJECT_DIRECTORIES="$GIT_DIR/objects"
    ;;
esac
if [ -f "$GIT_DIR/index" ]; then
    # With its time: git takes files that changed after it for changed ones.
    cp -p -- "$GIT_DIR/index" "$own/index" || refuse failed 'the disk of the guest is full'
fi
export GIT_INDEX_FILE="$own/index"

# Files of which the index says "do not look": small letters, and S outside a sparse checkout.
flags=$(git_ ls-files -v 2>"$own/said" | cut -c 1 | sort -u | tr -d '\n')
if [ -s "$own/said" ]; then
    grep -q 'not a git repository' "$own/said" && refuse repository
    refuse failed "$(tail -c 2000 "$own/said")"
fi
case $flags in
*[a-z]*) git_ ls-files -z | git_ update-index -z --no-assume-unchanged --stdin >/dev/null 2>&1 ;;
esac

add() {
    case $flags in
    *S* | *s*)
        ! git_ -c core.sparseCheckout=true add -A --sparse "$@" 2>"$own/said" || return 0
        ;;
    esac
    git_ add -A "$@" 2>"$own/said"
}
left=
if ! add .; then
    # A repository without a commit in the workspace: it has no name that a tree could hold.
    unborn=' does not have a commit checked out$'
    grep -q "$unborn" "$own/said" || refuse failed "$(tail -c 2000 "$own/said")"
    add --ignore-errors .
    ! grep '^error: ' "$own/said" | grep -v -e "$unborn" -e '^error: unable to index file ' |
        grep -q . || refuse failed "$(tail -c 2000 "$own/said")"
    left=$(sed -n "s/^error: '\(.*\)\/'$unborn/left \1/p" "$own/said")
    left=${left:-left ?}
fi

# awk reads lines, so NUL and line breaks change places by way of a byte that no name has.
take_back() {
    for byte in 001 002 003 004 005 006; do
        [ "$(tr -cd "\\$byte" <"$ours/unconverted" | head -c 1)" ] || break
    done
    tr "\n\000" "\\$byte\n" <"$ours/unconverted" >"$own/unconverted"
    git_ ls-files -s -z | tr "\n\000" "\\$byte\n" | awk '
        NR == FNR && FNR % 2 { split($0, facts, " "); next }
        NR == FNR { pointer[facts[3] " " $0] = facts[1]; next }
        {
            cut = index($0, "\t"); split($0, facts, " ")
            key = facts[2] " " substr($0, cut + 1)
            if (key in pointer) print facts[1] " " pointer[key] substr($0, cut)
        }
    ' "$own/unconverted" - | tr "\\$byte\n" "\n\000" | git_ update-index -z --index-info
}
[ ! -s "$ours/unconverted" ] || take_back ||
    refuse failed 'cannot take back what a filter of the host has made'
tree=$(git_ write-tree 2>&1) || refuse failed "$tree"

facts=$(printf '%s\n' 'HEAD^{commit}' 'refs/banger/prepared^{tree}' "${base:-none}^{tree}" |
    git_ cat-file --batch-check='x %(objectname)')
known() { printf '%s\n' "$facts" | sed -n "$1{s/^x \([0-9a-f]*\)\$/\1/p;}"; }
head=$(known 1) prepared=$(known 2) commit=$(known 3)
read -r branch <"$GIT_DIR/HEAD"
case $branch in 'ref: refs/heads/'*) branch=${branch#ref: refs/heads/} ;; *) branch= ;; esac
commits=0 rewritten=
if [ "$head" != "$base" ]; then
    if [ -z "$head" ]; then rewritten=x
    elif [ -z "$base" ]; then commits=$(git_ rev-list --count "$head")
    else
        [ -z "$commit" ] || commits=$(git_ rev-list --count "$head" "^$base")
        git_ merge-base --is-ancestor "$base" "$head" 2>/dev/null || rewritten=x
    fi
fi
for pair in "tree $tree" "prepared $prepared" "base $commit" "head $head" "branch $branch" \
    "commits ${commits:-0}" "rewritten $rewritten"; do
    case $pair in *' ') ;; *) printf '%s\n' "$pair" ;; esac
done
[ -z "$left" ] || printf '%s\n' "$left" | head -n 100
echo
{
    echo "$tree"
    [ -z "$prepared" ] || echo "$prepared"
    if [ "$sent" = whole ]; then
        [ -z "$commit" ] || echo "$commit"
    else
        [ -z "$commit" ] || echo "^$commit"
        if [ "$sent" = commits ] && [ "$head" ]; then
            echo "$head"
            [ -z "$commit" ] || echo "^$base"
        fi
    fi
} | git_ pack-objects --revs --stdout -q --delta-base-offset
