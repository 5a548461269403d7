# Places one repository of a first prepare; POSIX shell, dd, tar and git.
#
#   $1 path    where the workspace will be
#   $2 token   names the staging directory PARENT/.NAME.banger-TOKEN
#   $3 first   not empty: begin the staging directory
#   $4 below   the submodule's path in the workspace; empty for the workspace itself
#
# It says "ready", or "refused WORD", and reads a line, an archive, and but for "empty" a pack:
#
#   MODE LAST NEED SIZE
#                  clean: git writes all files; mixed: some come as files; empty: there is no commit.
#                  LAST 1: say "staged", read "go", and rename the staging directory to the path.
#                  NEED: KiB that have to be free; 0 does not ask. SIZE: bytes of the archive
#
# The archive has files, the git directory, and lists in .git/banger, of which attributes is the last.
# It says the stages, and at last "placed COMMIT", whose tree is what was placed; "-" is HEAD.
#
# What fails leaves nothing: the staging directory is removed now, or by the next prepare.

home=$HOME
export LC_ALL=C HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent GIT_CONFIG_GLOBAL=/dev/null \
    GIT_CONFIG_NOSYSTEM=1 GIT_ATTR_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 GIT_OPTIONAL_LOCKS=0
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR
umask 022
path=$1 token=$2 first=$3 below=$4
parent=${path%/*}/ name=${path##*/}
stage=$parent.$name.banger-$token
place=$stage${below:+/$below}
complete=

refuse() { echo "refused $1"; complete=1; exit 0; }
fail() { [ -z "$1" ] || echo "$1" >&2; exit 1; }
# Nothing is flushed by itself: one sync(1) does it for all.
git_() { git -c core.fsync=none -c core.fsmonitor=false -c core.safecrlf=false -c gc.auto=0 "$@"; }

leave() {
    [ -n "$complete" ] || { cd / && rm -rf -- "$stage"; }
}
trap leave EXIT
trap 'exit 3' HUP INT TERM PIPE

is_free() {
    [ -e "$path" ] || [ -L "$path" ] || return 0
    [ -d "$path" ] && [ ! -L "$path" ] || return 1
    for each in "$path"/* "$path"/.[!.]* "$path"/..?*; do
        [ ! -e "$each" ] && [ ! -L "$each" ] || return 1
    done
}

# Of prepares that were killed. One may still be alive: what it renames now is not what is removed.
remove_leftovers() {
    for old in "$parent.$name.banger-"*; do
        [ -d "$old" ] || continue
        case $old in
        *.old) ;;
        *) mv -- "$old" "$old.old" 2>/dev/null && old=$old.old || continue ;;
        esac
        rm -rf -- "$old"
    done
}

has_room() {
    [ "$need" != 0 ] || return 0
    free=$(df -Pk -- "$parent" 2>/dev/null | { read -r _; read -r _ _ _ free _; echo "$free"; })
    case $free in
    '' | *[!0-9]*) ;;
    *) [ "$free" -ge "$need" ] ;;
    esac
}

# take BYTES: exactly so many of stdin.
take() {
    blocks=$(($1 / 65536)) rest=$(($1 % 65536))
    [ $blocks = 0 ] || dd bs=65536 count=$blocks iflag=fullblock 2>/dev/null
    [ $rest = 0 ] || dd bs=$rest count=1 iflag=fullblock 2>/dev/null
}

check_out() {
    if [ "$mode" = clean ]; then
        git_ read-tree -u --reset HEAD || fail
        return
    fi
    git_ read-tree HEAD || fail
    [ ! -f .git/banger/sparse ] ||
        git_ update-index -z --skip-worktree --stdin <.git/banger/sparse || fail
    git_ checkout-index -q -f -u -z --stdin <.git/banger/checkout || fail
}

# The commit whose tree is what was placed: HEAD's with what came as files.
record() {
    export GIT_INDEX_FILE=.git/banger/index GIT_AUTHOR_NAME=banger GIT_COMMITTER_NAME=banger \
        GIT_AUTHOR_EMAIL=banger@localhost GIT_COMMITTER_EMAIL=banger@localhost
    [ ! -f .git/index ] || cp .git/index $GIT_INDEX_FILE || fail
    git_ update-index --add --remove --replace -z --stdin <.git/banger/track || fail
    tree=$(git_ write-tree) || fail
    [ "$mode" = empty ] || set -- -p HEAD
    prepared=$(git_ commit-tree "$@" -m 'What banger placed' "$tree" </dev/null) || fail
    echo "$prepared" >.git/refs/banger/prepared || fail
    unset GIT_INDEX_FILE
}

if [ -n "$first" ]; then
    command -v git >/dev/null || refuse git
    is_free || refuse taken
fi
echo ready
read -r mode last need size || fail
if [ -n "$first" ]; then
    [ -d "$parent" ] || mkdir -p -- "$parent" || fail
    remove_leftovers
fi
has_room || fail 'No space left on device'
mkdir -p -- "$place" && cd -- "$place" || fail
take "$size" | tar -x -f - || fail
[ -f .git/banger/attributes ] || fail 'the archive is cut off'
if [ "$mode" != empty ]; then
    git_ index-pack --stdin >/dev/null || fail
    echo 'stage files'
    check_out
fi
# In place of what kept git from converting files.
mv -f .git/banger/attributes .git/info/attributes || fail
prepared=-
if [ "$mode" != clean ]; then
    record
    rm -f .git/banger/checkout .git/banger/sparse .git/banger/track .git/banger/index || fail
fi
if [ "$last" = 1 ]; then
    sync
    echo staged
    # The end of the input is a host that has given up.
    read -r go && [ "$go" = go ] || fail
    if [ -f .git/banger/identity ]; then
        if [ -e "$home/.gitconfig" ]; then
            rm -f .git/banger/identity
        else
            mv .git/banger/identity "$home/.gitconfig"
        fi
    fi
    [ ! -d "$path" ] || rmdir -- "$path" || fail
    mv -T -- "$stage" "$path" || fail
fi
complete=1
echo "placed $prepared"
